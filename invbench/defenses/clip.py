"""Clipping of the whole update (McMahan et al. 2018, arXiv 1710.06963, flat clipping)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from invbench.defenses import Context, Defense
from invbench.defenses._norm import clipped
from invbench.observation import Update
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class Clip(Defense):
    """Scale the whole update down to L2 norm `norm` where it is longer; its direction stays.

    A scale is all that it takes away: an attack that matches directions sees the same update.
    """

    hides_scale = True
    smooth = True

    norm: float = parameter(help="largest L2 norm of the whole update", unit="the update's own", above=0)

    def update(self, shared: Update, context: Context) -> Update:
        return clipped(shared, self.norm)

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """Noise that came before the clip is part of the length that it measures."""
        power = sum(float(m.square().sum()) for m in expected)
        noise = sum(float(v[torch.isfinite(v)].sum()) for v in variance)
        factor = min(1.0, self.norm / max(power + noise, 1e-300) ** 0.5)
        return tuple(m * factor for m in expected), tuple(v * factor**2 for v in variance)
