"""Small grey faces and non-faces: scikit-image's subset of Labeled Faces in the Wild (Huang et al. 2007)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from invbench.data import BadData, Dataset, ImagePool
from invbench.data._files import shipped
from invbench.data._pool import channel_statistics
from invbench.registry import dataset

FACES = 100


@dataset(data="images")
@dataclass(frozen=True, kw_only=True)
class Lfw(Dataset):
    """100 grey faces (label 1) and 100 grey non-faces (label 0), 25 x 25; nobody's identity is in it.

    Faces are attacked first. A trained victim learns the last 50 of each kind; the first 50 of each stay targets.
    """

    def load(self) -> ImagePool:
        return _load()


@cache
def _load() -> ImagePool:
    file = shipped("skimage", "data/lfw_subset.npy")
    try:
        pictures = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadData(f"{file}: {error}; reinstall scikit-image") from None
    if pictures.shape != (2 * FACES, 25, 25):
        raise BadData(f"{file}: holds {pictures.shape}, not 200 pictures of 25 x 25")
    images = pictures.astype(np.float32)[:, None]
    order = np.arange(2 * FACES)
    trains = order % FACES >= FACES // 2
    mean, std = channel_statistics(images[trains])
    return ImagePool(
        images=images,
        labels=(order < FACES).astype(np.int64),
        classes=2,
        mean=mean,
        std=std,
        train=order[trains],
        targets=order,
        trained_targets=order[~trains],
        notes=("lfw labels tell faces from non-faces: there are no identities",),
    )
