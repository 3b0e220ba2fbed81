"""Mean squared error of a picture."""

from __future__ import annotations

import numpy as np

from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def mse(pictures: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """Over channels and pixels, `(N,)`, of pictures in [0, 1]."""
    return np.square(pictures - originals).mean(axis=(1, 2, 3))


METRIC = Metric(
    column=Column("mse", "mean squared error", better="lower", decimals=4, tolerance=0.01, title="MSE"),
    games=("update",),
    inputs=("pictures", "originals"),
    values=mse,
)
