"""Away from the boundary of a class by labels alone (Kahla et al. 2022, arXiv 2203.05625, algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

Hits = Callable[[Tensor], Tensor]
"""Points `(N, d)` to whether each is of the class `(N,)`; every point is a query."""
INSIDE = 0.875  # of a sphere's points, above which it counts as inside: the authors' code asks for so many


@dataclass(frozen=True, eq=False)
class Centre:
    """A point `(d,)` of the class, the radius of a sphere around it that lies inside (0: of none), and after how many
    steps it was found."""

    point: Tensor
    radius: float
    steps: int = 0


@dataclass(frozen=True, kw_only=True)
class Sphere:
    """`radius`: of the first sphere. `points` are asked on each; one that lies inside is followed by a sphere `growth`
    times larger. The search ends where `patience` steps pass at one radius, or after `steps` of them. Points stay in
    [`low`, `high`]."""

    radius: float
    points: int = 32
    growth: float = 1.3
    patience: int = 50
    steps: int = 100_000
    low: float = 0.0
    high: float = 1.0

    def search(self, inside: Hits, start: Tensor, generator: torch.Generator) -> Iterator[Centre]:
        """From a point of the class `(d,)`, each centre whose sphere lies inside, ever larger.

        Of n unit vectors u_i, those that leave the class repel: x <- x - R / 3 (1 / n) sum of the u_i for which
        x + R u_i is of another class. A step out of the class is not taken, and new vectors are drawn.
        """
        point, radius, waited = start, self.radius, 0
        for step in range(self.steps):
            if waited == self.patience:
                break
            waited += 1
            directions = torch.randn(self.points, len(point), generator=generator).to(point)
            directions /= directions.norm(dim=1, keepdim=True)
            outside = ~inside(point + radius * directions)
            if float(outside.float().mean()) <= 1 - INSIDE:
                yield Centre(point, radius, step)
                radius, waited = radius * self.growth, 0
            repelled = directions[outside].sum(dim=0) / self.points
            moved = (point - radius / 3 * repelled).clamp(self.low, self.high)
            if bool(outside.any()) and bool(inside(moved[None])[0]):
                point = moved
