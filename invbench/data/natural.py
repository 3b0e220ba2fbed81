"""Crops of the colour photographs that scikit-image and scikit-learn ship: nothing to download."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import islice

import numpy as np
from PIL import Image

from invbench.data import Dataset, ImagePool
from invbench.data._crops import LEAST_CONTRAST, Square, contrast, cut, most_different, squares, thumbnails
from invbench.data._photographs import PHOTOGRAPHS, Box, Photograph
from invbench.data._pool import channel_statistics
from invbench.registry import dataset, parameter

OVERLAP = "natural at {size}: training and target crops of one photograph overlap (up to 64 they share no pixel)"
SMALL, LARGE = 64, 224
"""Up to `SMALL` pixels a side pictures are cut from two regions, above from the whole photograph, `LARGE` at least."""


@dataset(data="images")
@dataclass(frozen=True, kw_only=True)
class Natural(Dataset):
    """Crops of ten photographs, each photograph a class: 320 targets, 320 for training, RGB.

    Of each photograph 32 crops are targets and 32 train (16 and 16 above 64 pixels), from two regions without a common
    pixel up to 64. Pictures of up to 64 pixels show the same crops whatever their size, and so do those above. Targets
    take turns by class, the photograph's subject first, so that the first ten show ten different things. Crops of one
    region overlap.
    """

    size: int = parameter(32, at_least=8, at_most=224, help="side of the pictures", unit="pixels")

    def load(self) -> ImagePool:
        return _load(self.size)


@cache
def _load(size: int) -> ImagePool:
    targets, training = [], []
    for photograph in PHOTOGRAPHS.values():
        picture = photograph.read()
        attacked, trains = choose(photograph, picture, size)
        targets.append([cut(picture, square, size) for square in attacked])
        training.append([cut(picture, square, size) for square in trains])
    ordered = [crop for turn in (*zip(*targets, strict=True), *zip(*training, strict=True)) for crop in turn]
    images = np.stack(ordered)
    attacked_count = sum(map(len, targets))
    mean, std = channel_statistics(images[attacked_count:])
    pool = np.arange(attacked_count)
    return ImagePool(
        images=images,
        labels=np.arange(len(images)) % len(PHOTOGRAPHS),
        classes=len(PHOTOGRAPHS),
        mean=mean,
        std=std,
        train=np.arange(attacked_count, len(images)),
        targets=pool,
        trained_targets=pool,
        notes=(OVERLAP.format(size=size),) if size > SMALL else (),
    )


def choose(photograph: Photograph, picture: Image.Image, size: int) -> tuple[list[Square], list[Square]]:
    """The squares of one photograph: targets in order, then training ones, all at least `size` wide.

    They are the same for all sizes up to 64 pixels, and for all above. Targets begin with the subjects; every other
    crop is the one most different from all before it.
    """
    if size > SMALL:
        whole = Box(0, 0, *picture.size)
        target_region, train_region, smallest, steps, count = whole, whole, LARGE, 10, 16
    else:
        target_region, train_region = photograph.target_region, photograph.train_region
        smallest, steps, count = max(64, min(picture.size) // 7), 4, 32
    subjects = [square for square in photograph.subjects if square[-1] >= (LARGE if size > SMALL else SMALL)]
    attackable = squares(target_region, smallest, steps)
    trainable = squares(train_region, smallest, steps)
    rows = thumbnails(picture, [*subjects, *attackable, *trainable], factor=smallest // 32)
    seen, target_rows, train_rows = np.split(rows, [len(subjects), len(subjects) + len(attackable)])
    varied = np.flatnonzero(contrast(target_rows) >= LEAST_CONTRAST)
    picked = varied[list(islice(most_different(target_rows[varied], seen), count - len(subjects)))]
    seen = np.concatenate([seen, target_rows[picked]])
    targets = subjects + [attackable[i] for i in picked]
    return targets, [trainable[i] for i in islice(most_different(train_rows, seen), count)]
