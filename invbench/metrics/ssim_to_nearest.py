"""SSIM of an inverted picture to the nearest training picture of its class: whether more than a prototype was read."""

from __future__ import annotations

import numpy as np

from invbench.metrics._images import Floats
from invbench.metrics.ssim import ssim
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def ssim_to_nearest(pictures: Floats, nearest: Floats) -> Floats:
    """`ssim` of each answer to `nearest`, the training picture of its class of least squared error; `(N, C, H, W)`."""
    return ssim(pictures, np.asarray(nearest))


METRIC = Metric(
    column=Column(
        "ssim_to_nearest",
        "SSIM to the nearest training picture of the class asked",
        title="SSIM to nearest",
        least=-1.0,
        most=1.0,
    ),
    games=("model",),
    inputs=("pictures", "nearest"),
    values=ssim_to_nearest,
)
