"""Clipping of the whole update (McMahan et al. 2018, arXiv 1710.06963, flat clipping)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from invbench.defenses import Context, Defense
from invbench.defenses._norm import Norm, clipped
from invbench.observation import Update
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class Clip(Defense):
    """Scale the whole update down to norm `norm` where it is longer; its direction stays.

    A scale is all that it takes away: an attack that matches directions sees the same update, and no epsilon follows.
    Noise after it has one: `gaussian` after either norm, `laplace` after the L1 norm alone.
    """

    hides_scale = True
    shortens = True
    smooth = True

    norm: float = parameter(help="largest norm of the whole update", unit="the update's own", above=0)
    p: Norm = parameter("l2", later=True, help="which norm: Euclidean, or the sum of magnitudes")

    def update(self, shared: Update, context: Context) -> Update:
        return clipped(shared, self.norm, self.p)

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """Noise that came before the clip is part of the length that it measures."""
        length = _length(expected, variance) if self.p == "l2" else _sum_of_magnitudes(expected, variance)
        factor = min(1.0, self.norm / length)
        return tuple(m * factor for m in expected), tuple(v * factor**2 for v in variance)


def _length(expected: Update, variance: Update) -> float:
    power = sum(float(m.square().sum()) for m in expected)
    noise = sum(float(v[torch.isfinite(v)].sum()) for v in variance)
    return float(max(power + noise, 1e-300) ** 0.5)


def _sum_of_magnitudes(expected: Update, variance: Update) -> float:
    """No less than the mean of the sum: E|x| is at most the root of E x^2."""
    pairs = [(m, torch.where(torch.isfinite(v), v, 0.0)) for m, v in zip(expected, variance, strict=True)]
    return max(sum(float((m.square() + v).sqrt().sum()) for m, v in pairs), 1e-150)
