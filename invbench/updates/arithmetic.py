"""How far float32 may be off in a client's gradient, whatever the processor: counted, not measured on one machine.

A processor adds the n terms of a sum in an order of its own. One after the other is the worst order: partial sum k of
terms with random signs and size s is about s sqrt(k), and its rounding error is uniform within u = 2^-24 of that,
a variance of u^2 k s^2 / 3. All n together have the variance u^2 n^2 s^2 / 6, where the sum itself has n s^2:

    variance of the relative error of one sum of n terms        u^2 n / 6
    of the difference of two, each added in its own order       u^2 n / 3

(the probabilistic bound sqrt(n) u of Higham and Mary 2019, doi 10.1137/18M1226312, with the constant of its mean).
Vector registers and fused multiply-adds make the partial sums fewer, never more. The errors of layers one after the
other add up in variance, on the way up and on the way down, so n is the number of terms on the longest way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from invbench.observation import Update

UNIT = 2.0**-24
"""Unit roundoff of float32: the largest relative error of one rounding."""

_SOFTMAX = 4.0
"""Roundings of a probability: of the exponential, the sum, its logarithm and the last exponential, each at most one."""

_KINKED = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.MaxPool2d)

_DENSITY = 0.4
"""Standard normal density at 0: how densely a layer's units stand at their kink, in units of their usual size."""

_MEAN_ERROR = 0.8
"""E|x| of a standard normal."""

_LIKELY = 0.1
"""Expected units on another side of their kink from which on they count: in one update of ten there is one."""


@dataclass(frozen=True)
class Sums:
    """`terms` that are added on the longest way to an entry, in so many `products` one after the other; `kinks`: layers
    of units with a kink, `units` in all."""

    terms: int
    products: int
    kinks: int
    units: int

    def relative_error(self, roundoff: float = 0.0) -> float:
        """Standard deviation between two processors' results, relative to an entry and its tensor's usual size.

        `roundoff`: the largest relative error r of rounding an operand, 0 where operands are not rounded. It is uniform
        within that, a variance of r^2 / 3; the two operands of every term are rounded independently, so a product has
        2 r^2 / 3 whatever its terms, and products one after the other add up.

        A unit that stands within its rounding error of its kink takes either side. That is rare, but such a unit
        brings the whole of its own error signal: a share f of the units that change side, where about half are
        active, is a share 2 f of the signal's energy. Beside rounding it counts where a change is likely.
        """
        rounding = UNIT**2 * self.terms / 3 + 2 * self.products * roundoff**2 / 3
        share = _DENSITY * _MEAN_ERROR * math.sqrt(rounding)
        changed = 2 * share * self.kinks if share * self.units >= _LIKELY else 0.0
        return math.sqrt(rounding + changed)


def through_weights(update: Update, weights: Update) -> Update:
    """What is left of an update where a client adds it to its weights, and the server subtracts the global ones."""
    return tuple((weight.detach() + change) - weight.detach() for change, weight in zip(update, weights, strict=True))


def variance_of_weights(weights: Update) -> Update:
    """The variance that this leaves, float64: uniform between two numbers of float32 that are next to each other."""
    sizes = (weight.detach().abs() for weight in weights)
    apart = ((size.nextafter(torch.full_like(size, torch.inf)) - size).double() for size in sizes)
    return tuple(spacing.square() / 12 for spacing in apart)


def sums(network: nn.Module, images: Tensor) -> tuple[Sums, Tensor]:
    """What one gradient of `images` `(B, C, H, W)` adds up, and the network's scores; on the meta device as well.

    A layer's output sums over what a weight's row holds, the error signal over what a column holds, a weight's
    gradient over the batch and over the places at which the layer acts.
    """
    places, kinks, units = 0, 0, 0

    def seen(layer: nn.Module, _: Any, output: Any) -> None:
        nonlocal places, kinks, units
        if isinstance(output, Tensor) and isinstance(layer, _KINKED):
            kinks, units = kinks + 1, units + output.numel()
        elif isinstance(output, Tensor) and isinstance(weight := getattr(layer, "weight", None), Tensor):
            places = max(places, output.numel() // len(weight))

    hooks = [layer.register_forward_hook(seen) for layer in network.modules()]
    try:
        with torch.no_grad():
            scores: Tensor = network(images)
    finally:
        for hook in hooks:
            hook.remove()
    matrices = [p for p in network.parameters() if p.dim() > 1]
    terms = sum(p[0].numel() + p[:, 0].numel() for p in matrices)
    return Sums(terms + places, 2 * len(matrices), kinks, units), scores


def error_of_scores(scores: Tensor, relative_error: float) -> float:
    """Relative error of the error signal p - y where `scores` `(B, K)` have this one: their absolute error, at most 1.

    d(p_i) = p_i (dz_i - sum_k p_k dz_k), and p_i <= |p_i - y_i| off the label. Beside float32's own it is nothing.
    """
    return min(1.0, relative_error * float(scores.double().square().mean().sqrt().nan_to_num(nan=1e30)))


def error_of_softmax(scores: Tensor, labels: Tensor) -> float:
    """Relative error of the error signal p - y that rounding p alone leaves: 4 u / |p - y|, at most 1.

    p is near 1 where the network is sure, and p - y is what is left of two numbers that are nearly equal.
    `scores` `(B, K)`, `labels` `(B,)`; 1 for scores that are not finite.
    """
    error = scores.double().softmax(dim=1)
    error[torch.arange(len(labels)), labels] -= 1
    size = float(error.square().sum(dim=1).mean().sqrt())
    return min(1.0, _SOFTMAX * UNIT / size) if size > 0 else 1.0
