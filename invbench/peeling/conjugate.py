"""Preconditioned conjugate gradients (Hestenes and Stiefel 1952; Nocedal and Wright 2006, section 5.1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_STEPS = 100
_CLOSE = 1e-4  # root mean square distance to the minimum, in posterior standard deviations


def minimise(
    size: int,
    descent: Callable[[Tensor], Tensor],
    curvature: Callable[[Tensor], float],
    inverse: Callable[[Tensor], Tensor],
) -> Tensor:
    """The minimum `(size,)` of a positive quadratic, from zero.

    `descent(x)`: minus its gradient at x; where that comes from residuals, no large numbers cancel and rounding in
    `inverse`, nearly the inverse of the curvature, costs steps and no digits. `curvature(d)`: d' A d.
    """
    x = torch.zeros(size, dtype=torch.float64)
    direction, before, product = torch.zeros_like(x), torch.zeros_like(x), 1.0
    for _ in range(_STEPS):
        slope = descent(x)
        step = inverse(slope)
        squared = float(slope @ step)  # of the distance that is left, were the inverse exact
        if not squared > _CLOSE**2 * size:
            break
        direction = step + max(0.0, float(step @ (slope - before)) / product) * direction
        bent = curvature(direction)
        if not bent > 0:
            break
        x = x + float(slope @ direction) / bent * direction
        before, product = slope, squared
    return x
