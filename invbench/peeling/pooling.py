"""Down through average pooling and flattening."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from invbench.peeling.signal import Signal


def below_pooling(layer: nn.Module, above: Signal, shape: tuple[int, ...], spread: float) -> Signal:
    """Each value below is taken for its pool's mean, with variance `spread` about it: the mean is all that is seen.

    `shape` `(C, H, W)` below. The error signal spreads evenly over a pool, exactly.
    """
    pool = pooling_matrix(layer, shape)  # (H'W', HW), rows of averages
    channels = shape[0]
    share = pool.sum(dim=0).clamp(min=1e-12)

    def back(t: Tensor) -> Tensor:
        return (t.reshape(channels, -1) @ pool).reshape(shape)

    inside = (pool.sum(dim=0) > 0).reshape(shape[1:])
    value = back(above.value) / share.reshape(shape[1:])
    variance = torch.where(inside, back(above.value_variance) / share.reshape(shape[1:]) + spread, spread)
    slope_variance = (above.slope_variance.reshape(channels, -1) @ pool.square()).reshape(shape)
    return Signal(value, variance.expand(shape), back(above.slope), slope_variance)


def pooling_matrix(layer: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """The layer's averages as a matrix `(H'W', HW)`, the same for every channel."""
    size = math.prod(shape[1:])
    basis = torch.eye(size, dtype=torch.float64).reshape(size, 1, *shape[1:])
    pooled: Tensor = layer(basis)
    return pooled.reshape(size, -1).T.contiguous()


def is_pooling(layer: nn.Module) -> bool:
    return isinstance(layer, nn.AvgPool2d | nn.AdaptiveAvgPool2d)
