"""Peak signal-to-noise ratio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from invbench.metrics._images import Floats, image_pairs
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric

if TYPE_CHECKING:
    from invbench.metrics._images import Images

_LEAST_MSE = 1e-10  # 100 dB: beyond it a difference says more about rounding than about the picture


def psnr(a: Images, b: Images) -> Floats:
    """PSNR of each pair in dB, `(N,)`: -10 log10(MSE) with data range 1, capped at 100 dB.

    `a`, `b`: arrays or tensors `(N, C, H, W)` of any float type in [0, 1], else ValueError. The mean is
    over channels and pixels, in float64.
    """
    first, second = image_pairs(a, b)
    mse = np.square(first - second).mean(axis=(1, 2, 3))
    return np.asarray(-10 * np.log10(np.maximum(mse, _LEAST_MSE)))


METRIC = Metric(
    column=Column(
        "psnr",
        "peak signal-to-noise ratio, capped at 100",
        unit="dB",
        decimals=2,
        tolerance=0.5,
        margin=1.0,
        title="PSNR",
        least=0.0,
        most=100.0,
    ),
    games=("update", "training-set", "participation"),
    inputs=("pictures", "originals"),
    values=psnr,
)
