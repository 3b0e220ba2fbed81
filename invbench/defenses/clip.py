"""Clipping of the whole update (McMahan et al. 2018, arXiv 1710.06963, flat clipping)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from invbench.defenses._norm import clipped
from invbench.observation import Update
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class Clip:
    """Scale the whole update down to L2 norm `norm` where it is longer; its direction stays.

    A scale is all that it takes away: an attack that matches directions sees the same update.
    """

    norm: float = parameter(help="largest L2 norm of the whole update", unit="the update's own", above=0)

    def update(self, shared: Update, generator: torch.Generator) -> Update:
        return clipped(shared, self.norm)
