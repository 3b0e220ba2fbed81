"""A linear layer or a convolution as the equations that its input obeys.

With its output z and error signal d known, the input h is on both sides of linear equations:

    forward     W h + b = z
    gradient    dL/dW = d * h    (a convolution: its rows are the error signal unfolded, the same for each channel)

(Zhu and Blaschko 2021, arXiv 2010.07733, equations 5 to 8).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from invbench.peeling.chain import Link


@dataclass(frozen=True, eq=False)
class Geometry:
    """Which inputs each output position of a layer sees.

    `patch` `(positions, taps)`: indexes into one channel's `pixels` inputs, `pixels` itself standing for padding.
    A linear layer is a convolution of one pixel a channel with one tap.
    """

    channels: int
    pixels: int
    patch: Tensor

    @property
    def size(self) -> int:
        return self.channels * self.pixels


def geometry(link: Link) -> Geometry:
    """The layer's geometry for its input's shape."""
    layer = link.layer
    if isinstance(layer, nn.Linear):
        return Geometry(channels=layer.in_features, pixels=1, patch=torch.zeros(1, 1, dtype=torch.int64))
    assert isinstance(layer, nn.Conv2d)
    channels, height, width = link.before
    patch = _patches(height, width, _pair(layer.kernel_size), *_steps(layer))
    return Geometry(channels, height * width, patch)


def kernel(layer: nn.Module) -> Tensor:
    """The weights as `(outputs, channels, taps)`, float64."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    weight = layer.weight.detach()
    return weight.reshape(*weight.shape[:2], -1)


def unfolded_error(shape: Geometry, error: Tensor) -> Tensor:
    """The rows `(outputs * taps, pixels)` of the gradient equations from the error signal `(outputs, positions)`."""
    outputs, (positions, taps) = len(error), shape.patch.shape
    rows = torch.zeros(outputs, taps, shape.pixels + 1, dtype=error.dtype)
    index = shape.patch.T[None].expand(outputs, taps, positions)
    rows.scatter_(2, index, error[:, None, :].expand(outputs, taps, positions))  # a tap sees a pixel from one position
    return rows[:, :, : shape.pixels].reshape(outputs * taps, shape.pixels)


def forward_matrix(shape: Geometry, weight: Tensor) -> Tensor:
    """The forward equations `(outputs * positions, channels * pixels)`."""
    outputs, channels, taps = weight.shape
    positions = len(shape.patch)
    matrix = torch.zeros(outputs, positions, channels, shape.pixels + 1, dtype=weight.dtype)
    index = shape.patch[None, :, None, :].expand(outputs, positions, channels, taps)
    matrix.scatter_add_(3, index, weight[:, None].expand(outputs, positions, channels, taps))
    return matrix[..., : shape.pixels].reshape(outputs * positions, shape.size)


def forward_normal(shape: Geometry, weight: Tensor, precision: Tensor) -> Tensor:
    """W' diag(precision) W `(size, size)` for `precision` `(outputs, positions)`, patch by patch."""
    outputs, channels, taps = weight.shape
    flat = weight.reshape(outputs, channels * taps)
    grams = torch.einsum("op,oi,oj->pij", precision, flat, flat)
    stride = shape.pixels + 1
    index = (torch.arange(channels)[:, None] * stride + shape.patch[:, None, :]).reshape(len(shape.patch), -1)
    padded = channels * stride
    normal = torch.zeros(padded * padded, dtype=weight.dtype)
    normal.index_add_(0, (index[:, :, None] * padded + index[:, None, :]).flatten(), grams.flatten())
    return normal.reshape(channels, stride, channels, stride)[:, :-1, :, :-1].reshape(shape.size, shape.size)


def apply(layer: nn.Module, values: Tensor) -> Tensor:
    """W h without the bias, for `values` `(n, *input shape)`."""
    if isinstance(layer, nn.Linear):
        return functional.linear(values, layer.weight.detach())
    assert isinstance(layer, nn.Conv2d)
    return functional.conv2d(values, layer.weight.detach(), None, *_steps(layer))


def transposed(link: Link, values: Tensor, *, squared: bool = False) -> Tensor:
    """W' e for `values` `(n, *output shape)`; `squared`: with every weight squared, as variances go."""
    layer = link.layer
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    weight = layer.weight.detach().square() if squared else layer.weight.detach()
    if isinstance(layer, nn.Linear):
        return values @ weight
    stride, padding, dilation = _steps(layer)
    spare = [  # what a stride steps over at the far edge comes back as zeros
        side - ((out - 1) * step - 2 * pad + gap * (size - 1) + 1)
        for side, out, step, pad, gap, size in zip(
            link.before[1:], link.after[1:], stride, padding, dilation, tuple(layer.weight.shape[2:]), strict=True
        )
    ]
    return functional.conv_transpose2d(values, weight, None, stride, padding, spare, 1, dilation)


@lru_cache(maxsize=64)
def _patches(
    height: int,
    width: int,
    size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Tensor:
    outside = height * width
    grid = torch.arange(outside, dtype=torch.float64).reshape(1, 1, height, width)
    grid = functional.pad(grid, (padding[1], padding[1], padding[0], padding[0]), value=outside)
    return functional.unfold(grid, size, dilation, 0, stride)[0].T.to(torch.int64)


def _steps(layer: nn.Conv2d) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Stride, padding and dilation, each by height and width."""
    assert not isinstance(layer.padding, str)
    return _pair(layer.stride), _pair(layer.padding), _pair(layer.dilation)


def _pair(value: tuple[int, ...]) -> tuple[int, int]:
    return value[0], value[-1]


def rows_of(weight_gradient: Tensor) -> Tensor:
    """dL/dW `(outputs, channels, *taps)` as the right-hand sides `(channels, outputs * taps)` of its equations."""
    outputs, channels = weight_gradient.shape[:2]
    taps = math.prod(weight_gradient.shape[2:])
    return weight_gradient.reshape(outputs, channels, taps).transpose(0, 1).reshape(channels, outputs * taps)
