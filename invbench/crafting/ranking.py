"""Which candidates an attack gives back, chosen without any truth."""

from __future__ import annotations

import torch
from torch import Tensor

_OUTSIDE = 1e-3
"""How far a pixel may lie outside of [0, 1] by rounding: half a step of 8 bits is 2e-3."""
_SAME = 1e-4
"""Root mean square distance below which two candidates are one picture: 80 dB."""
_STEPS = 255


def possible(images: Tensor) -> Tensor:
    """Which unrounded unit-range pictures `(K, C, H, W)` have all their pixels in [0, 1], `(K,)`.

    Sums of pictures whose signals have opposite signs leave it.
    """
    flat = images.flatten(1)
    return (flat.amin(dim=1) >= -_OUTSIDE) & (flat.amax(dim=1) <= 1 + _OUTSIDE)


def of_bytes(images: Tensor) -> Tensor:
    """Which unit-range pictures `(K, C, H, W)` have 8 bits a pixel, `(K,)`: nearly no mean of several has.

    Whether pictures do at all, an attacker sees by his own. The root mean square distance to multiples of 1/255 is 0.29
    steps for any numbers; a twentieth is that of pixels of 8 bits which are known to 1e-4.
    """
    steps = images.double().flatten(1) * _STEPS
    return (steps - steps.round()).square().mean(dim=1).sqrt() < 0.05


def same_pictures(images: Tensor) -> Tensor:
    """Which of these candidates `(K, C, H, W)` are one picture, each with itself, `(K, K)`."""
    flat = images.double().flatten(1)
    near: Tensor = torch.cdist(flat, flat) < _SAME * flat.shape[1] ** 0.5
    return near.fill_diagonal_(True)


def best_first(trust: Tensor, images: Tensor, most: int, same: Tensor | None = None) -> list[int]:
    """Indexes of at most so many candidates: possible pictures before others, then by `trust` `(K,)`, highest first.

    Of those that are the `same` `(K, K)` the first stands for all.
    """
    fits, trusted = possible(images).tolist(), trust.tolist()
    order = sorted(range(len(trusted)), key=lambda k: (not fits[k], -trusted[k], k))
    alike = torch.eye(len(order), dtype=torch.bool) if same is None else same.cpu()
    taken, kept = torch.zeros(len(order), dtype=torch.bool), list[int]()
    for one in order:
        if len(kept) < most and not taken[one]:
            kept.append(one)
            taken |= alike[one]
    return kept
