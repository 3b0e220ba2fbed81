"""Structural similarity (Wang, Bovik, Sheikh and Simoncelli 2004), by scikit-image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from invbench.metrics._images import Floats, image_pairs

if TYPE_CHECKING:
    from invbench.metrics._images import Images

_WINDOW = 11  # taps of the Gaussian of sigma 1.5, cut at 3.5 sigma


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


def ssim_note(image_shape: tuple[int, ...]) -> str | None:
    """Why SSIM is empty for images of this shape `(C, H, W)`, or None where it is not."""
    height, width = image_shape[-2:]
    if min(height, width) >= _WINDOW:
        return None
    return f"ssim is empty: {height} x {width} pixels are fewer than its {_WINDOW} x {_WINDOW} window"


def _one(a: Floats, b: Floats) -> float:
    from skimage.metrics import structural_similarity  # slow to load, and who plans a run computes none

    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            a, b, data_range=1.0, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )
