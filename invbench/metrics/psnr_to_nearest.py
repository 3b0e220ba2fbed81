"""PSNR of an inverted picture to the nearest training picture of its class: whether more than a prototype was read."""

from __future__ import annotations

import numpy as np

from invbench.metrics._images import Floats
from invbench.metrics.psnr import psnr
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def psnr_to_nearest(pictures: Floats, nearest: Floats) -> Floats:
    """`psnr` of each answer to `nearest`, the training picture of its class of least squared error; `(N, C, H, W)`."""
    return psnr(pictures, np.asarray(nearest))


METRIC = Metric(
    column=Column(
        "psnr_to_nearest",
        "PSNR to the nearest training picture of the class asked",
        unit="dB",
        decimals=2,
        tolerance=0.5,
        margin=1.0,
        title="PSNR to nearest",
        least=0.0,
        most=100.0,
    ),
    games=("model",),
    inputs=("pictures", "nearest"),
    values=psnr_to_nearest,
)
