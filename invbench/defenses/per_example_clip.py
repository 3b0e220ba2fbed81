"""Clipping of each example's gradient, as in DP-SGD (Abadi et al. 2016, arXiv 1607.00133, Algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass

from invbench.defenses import Context, Defense
from invbench.defenses._norm import clipped
from invbench.observation import Update
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class PerExampleClip(Defense):
    """Scale each example's gradient down to L2 norm `norm` where it is longer, then average them.

    At batch size 1 the same as `clip`; above, the average's direction changes too. No epsilon without noise.
    """

    hides_scale = True
    smooth = True

    norm: float = parameter(help="largest L2 norm of one example's gradient", unit="the gradient's own", above=0)

    def per_example(self, gradients: list[Update], context: Context) -> list[Update]:
        return [clipped(gradient, self.norm) for gradient in gradients]
