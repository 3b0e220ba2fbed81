"""SSIM of an inverted picture to the mean of its class: how much of the prototype was read."""

from __future__ import annotations

import numpy as np

from invbench.metrics._images import Floats
from invbench.metrics.ssim import ssim
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def ssim_to_mean(pictures: Floats, own_means: Floats) -> Floats:
    """`ssim` of each answer to the mean of the training pictures of the class asked, both `(N, C, H, W)`."""
    return ssim(pictures, np.asarray(own_means))


METRIC = Metric(
    column=Column(
        "ssim_to_mean",
        "SSIM to the mean of the training pictures of the class asked",
        title="SSIM to mean",
        least=-1.0,
        most=1.0,
    ),
    games=("model",),
    inputs=("pictures", "own_means"),
    values=ssim_to_mean,
)
