"""Gaussian noise on the update (Zhu et al. 2019, arXiv 1906.08935, section 5.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from invbench.defenses import Context, Defense, Noise
from invbench.defenses._noise import MOST, add_noise, noisy_bytes
from invbench.observation import Update
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class Gaussian(Defense):
    """Add N(0, std^2) to every coordinate of the update, independently.

    No epsilon by itself: without a clip before it the update's sensitivity is unbounded.
    """

    smooth = True
    redraws = True

    std: float = parameter(help="standard deviation of the noise", unit="the update's own", at_least=0, at_most=MOST)

    def update(self, shared: Update, context: Context) -> Update:
        return add_noise(shared, lambda n: self.std * torch.randn(n, generator=context.generator, dtype=torch.float64))

    def noise_sent(self, batch_size: int) -> Noise | None:
        return Noise(self.std**2) if self.std > 0 else None

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        return expected, tuple(tensor + self.std**2 for tensor in variance)

    def message_bytes(self, shared: Update, clients: int, before: int) -> int:
        return noisy_bytes(shared) if self.std > 0 else before
