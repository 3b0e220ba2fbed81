"""Handwritten digits of 8 x 8 pixels: scikit-learn's copy of the UCI test set (Alpaydin and Kaynak 1998)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from invbench.data import Dataset, ImagePool
from invbench.data._pool import channel_statistics
from invbench.registry import dataset, parameter

HELD_OUT = 540
"""How many of the first pictures a trained victim never sees: 30 % of 1,797, some 54 of each digit."""


@dataset(data="images")
@dataclass(frozen=True, kw_only=True)
class Digits(Dataset):
    """1,797 grey handwritten digits, 8 x 8, 17 grey levels.

    They are attacked in their own order; a trained victim learns all but the first 540, which stay its targets.
    """

    labels: Literal["digit", "parity"] = parameter(
        "digit", later=True, help="the ten digits, or two classes: even (0) and odd (1) ones"
    )

    def load(self) -> ImagePool:
        return _load(self.labels)


@cache
def _load(labels: str) -> ImagePool:
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    bunch = load_digits()
    images = (bunch.images / 16).astype(np.float32)[:, None]  # sixteenths: exact in float32
    digits = bunch.target.astype(np.int64)
    order = np.arange(len(images))
    mean, std = channel_statistics(images[HELD_OUT:])
    return ImagePool(
        images=images,
        labels=digits % 2 if labels == "parity" else digits,
        classes=2 if labels == "parity" else 10,
        mean=mean,
        std=std,
        train=order[HELD_OUT:],
        targets=order,
        trained_targets=order[:HELD_OUT],
    )
