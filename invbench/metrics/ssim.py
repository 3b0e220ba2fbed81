"""Structural similarity (Wang, Bovik, Sheikh and Simoncelli 2004), by scikit-image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from invbench.metrics._images import Floats, image_pairs
from invbench.metrics._ssim import ssim_note
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric

if TYPE_CHECKING:
    from invbench.metrics._images import Images


def ssim(a: Images, b: Images) -> Floats:
    """SSIM of each pair, `(N,)`, at most 1; NaN where the images are smaller than the 11 x 11 window.

    `a`, `b`: arrays or tensors `(N, C, H, W)` of any float type in [0, 1], else ValueError. The settings
    are those of Wang et al.: Gaussian weights of sigma 1.5, population covariance, data range 1; the mean
    over channels.
    """
    first, second = image_pairs(a, b)
    if ssim_note(first.shape[1:]) is not None:
        return np.full(len(first), np.nan)
    return np.array([_one(x, y) for x, y in zip(first, second, strict=True)], dtype=np.float64)


def _one(a: Floats, b: Floats) -> float:
    from skimage.metrics import structural_similarity  # slow to load, and who plans a run computes none

    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            a, b, data_range=1.0, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


METRIC = Metric(
    column=Column("ssim", "structural similarity, Gaussian window of sigma 1.5", title="SSIM", least=-1.0, most=1.0),
    games=("update", "training-set"),
    inputs=("pictures", "originals"),
    values=ssim,
)
