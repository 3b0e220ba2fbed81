"""Laplace noise on the update (Zhu et al. 2019, arXiv 1906.08935, section 5.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.defenses import Context, Defense, Noise
from invbench.defenses._noise import MOST, add_noise, noisy_bytes
from invbench.observation import Update
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class Laplace(Defense):
    """Add Laplace noise of standard deviation `std`, scale b = std / sqrt(2), to every coordinate of the update.

    No epsilon by itself: without a clip before it the update's sensitivity is unbounded.
    """

    smooth = True
    redraws = True

    std: float = parameter(
        help="standard deviation of the noise; its scale is std / sqrt(2)",
        unit="the update's own",
        at_least=0,
        at_most=MOST,
    )

    def update(self, shared: Update, context: Context) -> Update:
        def draw(n: int) -> Tensor:
            uniform = torch.rand(2, n, generator=context.generator, dtype=torch.float64)
            return self.std / math.sqrt(2) * standard_laplace(uniform)

        return add_noise(shared, draw)

    def noise_sent(self, batch_size: int) -> Noise | None:
        """The score of a Laplace location is sign / b, its Fisher information 1 / b^2, twice a normal's of its std."""
        return Noise(self.std**2 / 2) if self.std > 0 else None

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        return expected, tuple(tensor + self.std**2 for tensor in variance)

    def message_bytes(self, shared: Update, clients: int, before: int) -> int:
        return noisy_bytes(shared) if self.std > 0 else before


def standard_laplace(uniform: Tensor) -> Tensor:
    """Laplace draws `(n,)` of scale 1 from uniform ones `(2, n)` in [0, 1).

    The difference of two exponentials -log(1 - u). The usual inverse, -sign(v) log(1 - 2 |v|) with v in
    [-1/2, 1/2), is infinite where a generator returns its lowest value, as it may; here 1 - u is never 0.
    """
    exponentials = -torch.log1p(-uniform)
    return exponentials[0] - exponentials[1]
