"""A few of scikit-learn's handwritten digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invbench.data import Dataset, ImagePool
from invbench.registry import dataset, parameter


@dataset(data="images")
@dataclass(frozen=True, kw_only=True)
class FewDigits(Dataset):
    """The first `count` digits, 8 x 8; a trained victim learns the first two thirds, and the others are its targets."""

    count: int = parameter(300, at_least=30, at_most=1797, unit="pictures", help="how many")

    def load(self) -> ImagePool:
        from sklearn.datasets import load_digits

        bunch, order = load_digits(), np.arange(self.count)
        return ImagePool(
            images=(bunch.images[: self.count] / 16).astype(np.float32)[:, None],
            labels=bunch.target[: self.count].astype(np.int64),
            classes=10,
            mean=(0.3,),
            std=(0.4,),
            train=order[: self.count * 2 // 3],
            targets=order,
            trained_targets=order[self.count * 2 // 3 :],
        )
