"""Priors on pictures, in normalised space."""

from __future__ import annotations

from torch import Tensor


def total_variation(images: Tensor) -> Tensor:
    """Mean |dx| + mean |dy| of `(B, C, H, W)` (anisotropic; Geiping et al. 2020, equation 4).

    Published weights differ by what is averaged: a code base that averages the sum of both directions
    needs twice this weight.
    """
    dx = (images[..., :, 1:] - images[..., :, :-1]).abs()
    dy = (images[..., 1:, :] - images[..., :-1, :]).abs()
    return (dx.mean() if dx.numel() else dx.sum()) + (dy.mean() if dy.numel() else dy.sum())
