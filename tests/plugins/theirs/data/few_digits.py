"""A few of scikit-learn's handwritten digits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from invbench.data import Dataset, ImagePool
from invbench.registry import dataset, parameter


@dataset(data="images")
@dataclass(frozen=True, kw_only=True)
class FewDigits(Dataset):
    """The first `count` digits, 8 x 8; a trained victim learns the first two thirds, and the others are its targets.

    A second channel holds the negative. LPIPS, the slowest metric, is not defined for two channels.
    """

    count: int = parameter(150, at_least=30, at_most=1797, unit="pictures", help="how many")

    def load(self) -> ImagePool:
        return _load(self.count)


@cache
def _load(count: int) -> ImagePool:
    from sklearn.datasets import load_digits

    bunch, order = load_digits(), np.arange(count)
    digits = (bunch.images[:count] / 16).astype(np.float32)
    return ImagePool(
        images=np.stack([digits, 1 - digits], axis=1),
        labels=bunch.target[:count].astype(np.int64),
        classes=10,
        mean=(0.3, 0.7),
        std=(0.4, 0.4),
        train=order[: count * 2 // 3],
        targets=order,
        trained_targets=order[count * 2 // 3 :],
    )
