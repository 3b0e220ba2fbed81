"""The Olivetti faces: AT&T's 40 people as scikit-learn fetches them (Samaria and Harter 1994, 64 x 64)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from invbench.data import BadData, Dataset, ImagePool
from invbench.data._files import Stamp, expand, stamp
from invbench.data._pool import user_pool
from invbench.data._torchvision import damaged, present
from invbench.registry import dataset, parameter

FILE = "olivetti_py3.pkz"
"""What scikit-learn keeps them in."""
PEOPLE, TAKES, SIDE = 40, 10, 64


@dataset(data="images")
@dataclass(frozen=True, kw_only=True)
class Olivetti(Dataset):
    """400 grey faces of 64 x 64, 10 of each of 40 people: the first 7 of each train a victim, the last 3 stay targets.

    scikit-learn keeps them as a joblib pickle, and its fetcher reads it as one: `root` should be a folder that nobody
    else writes to. Credit: AT&T Laboratories Cambridge.
    """

    root: Path = parameter(help=f"scikit-learn's data folder (often ~/scikit_learn_data), which holds {FILE}")
    download: bool = parameter(False, help="fetch the data into `root` where they are missing")

    def load(self) -> ImagePool:
        root = expand(self.root)
        file = root / FILE
        present(root, root, lambda: [] if file.exists() else [FILE], lambda: _fetched(root, True), self.download)
        return _load(stamp(file))


def _fetched(root: Path, download: bool) -> np.ndarray:
    """The pictures `(400, 64, 64)`, float32 in [0, 1]."""
    from sklearn.datasets import fetch_olivetti_faces  # type: ignore[import-untyped]

    images: np.ndarray = fetch_olivetti_faces(data_home=str(root), download_if_missing=download).images
    return images


@lru_cache(maxsize=2)
def _load(source: Stamp) -> ImagePool:
    file = source[0]
    try:
        images = _fetched(file.parent, False)
    except Exception as error:  # joblib, zlib and pickle each have their own errors for damaged bytes
        raise damaged(file, f"cannot be read ({error})") from None
    if images.shape != (PEOPLE * TAKES, SIDE, SIDE) or not np.isfinite(images).all():
        raise BadData(f"{file}: does not hold {PEOPLE * TAKES} finite pictures of {SIDE} x {SIDE}")
    labels = np.repeat(np.arange(PEOPLE, dtype=np.int64), TAKES)
    return user_pool(file, np.ascontiguousarray(images[:, None], dtype=np.float32), labels, PEOPLE, None, None)
