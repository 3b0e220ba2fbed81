"""PSNR of an inverted picture to the mean of its class: how much of the prototype was read."""

from __future__ import annotations

import numpy as np

from invbench.metrics._images import Floats
from invbench.metrics.psnr import psnr
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def psnr_to_mean(pictures: Floats, own_means: Floats) -> Floats:
    """`psnr` of each answer to the mean of the training pictures of the class asked, both `(N, C, H, W)`."""
    return psnr(pictures, np.asarray(own_means))


METRIC = Metric(
    column=Column(
        "psnr_to_mean",
        "PSNR to the mean of the training pictures of the class asked",
        unit="dB",
        decimals=2,
        tolerance=0.5,
        margin=1.0,
        title="PSNR to mean",
        least=0.0,
        most=100.0,
    ),
    games=("model",),
    inputs=("pictures", "own_means"),
    values=psnr_to_mean,
)
