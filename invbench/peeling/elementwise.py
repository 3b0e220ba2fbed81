"""Down through what acts on each value alone: activations and BatchNorm with its running statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.peeling.signal import Signal

ROUNDING = 2.0**-24
"""Relative rounding error of a float32, in which clients compute.

Here and in `_SUMMED` it weighs equations, as `likelihood.WEIGHING` does: a certificate widens the variances that follow
from it by what other processors may leave (`likelihood.widened`), so it need not hold on every one.
"""

UNKNOWN = 1e12  # variance of a value of which nothing is known

_SUMMED = 4.0  # rounding errors that add up in one output of a layer
_CERTAIN = 1e-3  # odds below which a value that looks like zero is taken for zero


@dataclass(frozen=True)
class Inverse:
    """An activation's inverse on its open range, and its first and second derivative as functions of its input."""

    inverse: Callable[[nn.Module, Tensor], Tensor]
    first: Callable[[nn.Module, Tensor], Tensor]
    second: Callable[[nn.Module, Tensor], Tensor]
    low: Callable[[nn.Module], float] = lambda layer: -torch.inf
    high: Callable[[nn.Module], float] = lambda layer: torch.inf


def _sigmoid_first(_: nn.Module, z: Tensor) -> Tensor:
    return z.sigmoid() * (-z).sigmoid()


def _leaky_first(layer: nn.LeakyReLU, z: Tensor) -> Tensor:
    return torch.where(z > 0, 1.0, float(layer.negative_slope)).to(z.dtype)


def _elu_inverse(layer: nn.ELU, h: Tensor) -> Tensor:
    return torch.where(h > 0, h, torch.log1p(h.clamp(max=0) / layer.alpha))


def _elu_first(layer: nn.ELU, z: Tensor) -> Tensor:
    return torch.where(z > 0, 1.0, layer.alpha * z.clamp(max=0).exp())


def _elu_second(layer: nn.ELU, z: Tensor) -> Tensor:
    return torch.where(z > 0, 0.0, layer.alpha * z.clamp(max=0).exp())


def _softplus_inverse(layer: nn.Softplus, h: Tensor) -> Tensor:
    scaled = layer.beta * h
    return torch.where(scaled > layer.threshold, scaled, scaled + torch.log(-torch.expm1(-scaled))) / layer.beta


def _softplus_second(layer: nn.Softplus, z: Tensor) -> Tensor:
    return layer.beta * (layer.beta * z).sigmoid() * (-layer.beta * z).sigmoid()


INVERTIBLE: dict[type[nn.Module], Inverse] = {
    nn.Sigmoid: Inverse(
        lambda _, h: torch.logit(h),
        _sigmoid_first,
        lambda _, z: _sigmoid_first(_, z) * (1 - 2 * z.sigmoid()),
        lambda _: 0.0,
        lambda _: 1.0,
    ),
    nn.Tanh: Inverse(
        lambda _, h: torch.atanh(h),
        lambda _, z: 1 / z.cosh().square(),
        lambda _, z: -2 * z.tanh() / z.cosh().square(),
        lambda _: -1.0,
        lambda _: 1.0,
    ),
    nn.LeakyReLU: Inverse(
        lambda layer, h: h / _leaky_first(layer, h),  # type: ignore[arg-type]
        _leaky_first,  # type: ignore[arg-type]
        lambda _, z: torch.zeros_like(z),
    ),
    nn.ELU: Inverse(_elu_inverse, _elu_first, _elu_second, lambda layer: -float(layer.alpha)),  # type: ignore[arg-type]
    nn.Softplus: Inverse(
        _softplus_inverse,  # type: ignore[arg-type]
        lambda layer, z: (layer.beta * z).sigmoid(),  # type: ignore[operator]
        _softplus_second,  # type: ignore[arg-type]
        lambda _: 0.0,
    ),
    nn.ReLU: Inverse(lambda _, h: h, lambda _, z: (z > 0).to(z.dtype), lambda _, z: torch.zeros_like(z), lambda _: 0.0),
}
"""Activations that can be peeled. A ReLU's output shows its mask; where it is zero the input stays unknown."""


def below_activation(layer: nn.Module, above: Signal) -> Signal:
    """Input and error signal of an activation from those of its output.

    z = f^-1(h), var z = var h / f'(z)^2; dL/dz = dL/dh f'(z), with the variance of both factors.
    """
    known = INVERTIBLE[type(layer)]
    if isinstance(layer, nn.ReLU):
        return _below_relu(above)
    if isinstance(layer, nn.LeakyReLU):
        return _below_leaky(layer, above)
    low, high = known.low(layer), known.high(layer)
    variance = above.value_variance + (2 * ROUNDING * above.value).square()
    margin = variance.sqrt().clamp(min=1e-12, max=(high - low) / 4)  # at a range's end: known to be near it, no more
    inside = torch.minimum(torch.maximum(above.value, low + margin), high - margin) if low > -torch.inf else above.value
    z = known.inverse(layer, inside)
    first, second = known.first(layer, z), known.second(layer, z)
    value_variance = (variance / first.square()).clamp(max=UNKNOWN) + (4 * ROUNDING * (1 + z.abs())).square()
    bent = (above.slope * second).square() * value_variance.clamp(max=1)
    return Signal(z, value_variance, above.slope * first, above.slope_variance * first.square() + bent)


def _below_relu(above: Signal) -> Signal:
    """Output 0 within its error: the input is unknown and its gradient is 0; ambiguous values get a mixture of both.

    An error that is not small beside the others' size hides values that are not zero: then the slope is in doubt.
    """
    spread = above.value_variance.sqrt()
    active = above.value > 4 * spread
    odds = spread / _size(above.value, active)
    hidden = torch.where(odds > _CERTAIN, odds / (1 + odds), 0.0)  # the chance of being active, for all others
    return Signal(
        torch.where(active, above.value, 0.0),
        torch.where(active, above.value_variance + _forward_rounding(above.value, active), UNKNOWN),
        torch.where(active, above.slope, hidden * above.slope),
        torch.where(active, above.slope_variance, hidden * (1 - hidden) * above.slope.square()),
    )


def _below_leaky(layer: nn.LeakyReLU, above: Signal) -> Signal:
    """Where the output's sign is in doubt, so is the slope: variances count both sides by their odds."""
    side = float(layer.negative_slope)
    odds = torch.special.ndtr(above.value / above.value_variance.sqrt().clamp(min=1e-30))  # of being active
    first = _leaky_first(layer, above.value)
    doubt = (1 - side) ** 2 * torch.where(above.value > 0, 1 - odds, odds)
    z = above.value / first
    variance = above.value_variance * (odds + (1 - odds) / side**2)
    return Signal(
        z,
        variance + _forward_rounding(z, torch.ones_like(z, dtype=torch.bool)),
        above.slope * first,
        above.slope_variance * first.square() + above.slope.square() * doubt,
    )


def _forward_rounding(z: Tensor, known: Tensor) -> float:
    """The variance of what a layer computed in float32 about what it would give without rounding."""
    return (_SUMMED * ROUNDING * _size(z, known)) ** 2


def _size(values: Tensor, known: Tensor) -> float:
    """Root mean square of the known ones, 1 if there is none."""
    return float(values[known].square().mean().sqrt()) if known.any() else 1.0


def below_batch_norm(layer: nn.Module, above: Signal) -> Signal:
    """Through y = a x + c, a and c per channel, from the running statistics."""
    scale, shift = batch_norm_constants(layer)
    view = (-1,) + (1,) * (above.value.dim() - 1)
    a, c = scale.reshape(view), shift.reshape(view)
    safe = torch.where(a == 0, 1.0, a)
    return Signal(
        (above.value - c) / safe,
        torch.where(a == 0, UNKNOWN, above.value_variance / safe.square()),
        above.slope * a,
        above.slope_variance * a.square(),
    )


def batch_norm_constants(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """`a` and `c` of y = a x + c per channel, float64."""
    assert isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    mean, variance = layer.running_mean.double(), layer.running_var.double()
    weight = torch.ones_like(mean) if layer.weight is None else layer.weight.detach().double()
    bias = torch.zeros_like(mean) if layer.bias is None else layer.bias.detach().double()
    scale = weight / (variance + layer.eps).sqrt()
    return scale, bias - mean * scale


def activation(layer: nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
    """First and second derivative of an activation at z."""
    known = INVERTIBLE[type(layer)]
    return known.first(layer, z), known.second(layer, z)
