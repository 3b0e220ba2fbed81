"""Uniform quantisation (QSGD: Alistarh et al. 2017, arXiv 1610.02132, section 3.1 with section 4's scaling)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from invbench.defenses import VALUE, Context, Defense
from invbench.defenses._sending import sparse_bytes, whole_bytes
from invbench.observation import Update
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class Quantize(Defense):
    """Round every coordinate to one of 2^bits - 1 levels m * l / s, l = -s .. s, s = 2^(bits - 1) - 1.

    m is the largest magnitude of the coordinate's own tensor. QSGD's theory scales by the L2 norm, its
    implementation by the maximum of a bucket of consecutive values that cuts no receptive field (section 4,
    section 5); a bucket is one tensor here, as in TernGrad (Wen et al. 2017, arXiv 1705.07878, layer-wise
    ternarizing), which is `bits: 2` with stochastic rounding. One scale for the whole update would round
    whole layers to zero. Zero stays exactly zero, the largest stays exactly itself.

    `stochastic` rounds up with probability equal to the remainder: unbiased. `nearest`: at most half a step
    away, ties to the even level. Tensors are rounded one after the other, in float64.
    """

    bits: int = parameter(help="bits a coordinate, its sign among them", unit="bits", at_least=2, at_most=24)
    rounding: Literal["stochastic", "nearest"] = parameter("stochastic", help="how to choose between two levels")

    @property
    def redraws(self) -> bool:
        return self.rounding == "stochastic"

    def update(self, shared: Update, context: Context) -> Update:
        return tuple(self._quantised(tensor, context.generator) for tensor in shared)

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """Half a step either way, evenly: step^2 / 12; drawn between two levels, on average: step^2 / 6."""
        share = 12 if self.rounding == "nearest" else 6
        levels = 2 ** (self.bits - 1) - 1
        steps = (tensor.abs().amax() / levels for tensor in seen)
        return expected, tuple(v + step.square() / share for v, step in zip(variance, steps, strict=True))

    def interval(self, low: Update, high: Update, seen: Update) -> tuple[Update, Update]:
        """Half a step either way from the nearest level; what is drawn between two levels is noise and no rule."""
        if self.rounding == "stochastic":
            return low, high
        halves = [tensor.abs().amax() / (2 ** (self.bits - 1) - 1) / 2 for tensor in seen]
        return (
            tuple(a - half for a, half in zip(low, halves, strict=True)),
            tuple(b + half for b, half in zip(high, halves, strict=True)),
        )

    def message_bytes(self, shared: Update, clients: int, before: int) -> int:
        """`bits` a coordinate, packed, and each tensor's largest magnitude; zeros left out where that is shorter."""
        every = sum(whole_bytes(self.bits * tensor.numel()) + VALUE for tensor in shared)
        return min(every, sparse_bytes(shared, every))

    def _quantised(self, tensor: Tensor, generator: torch.Generator) -> Tensor:
        if not tensor.any():
            return tensor.clone()
        steps: int = 2 ** (self.bits - 1) - 1
        values = tensor.to(torch.float64)
        largest = values.abs().amax()
        position = values.abs() / largest * steps  # in [0, steps]
        level = self._rounded(position, generator)
        return (values.sign() * (level / steps * largest)).to(tensor.dtype)

    def _rounded(self, position: Tensor, generator: torch.Generator) -> Tensor:
        if self.rounding == "nearest":
            return position.round()
        below = position.floor()
        uniform = torch.rand(position.shape, generator=generator, dtype=position.dtype).to(position.device)
        return below + (uniform < position - below).to(below.dtype)
