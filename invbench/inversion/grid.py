"""Coarse pictures: a grid of few numbers, enlarged to a picture, for searches that know no slope."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from invbench.observation import ModelObservation


@dataclass(frozen=True)
class Grid:
    """Points `(N, d)` are grids `(C, h, w)`, row by row, of a picture `shape` `(C, H, W)`, each no larger than it."""

    shape: tuple[int, int, int]
    coarse: tuple[int, int]

    @classmethod
    def of(cls, seen: ModelObservation, resolution: int) -> Grid:
        """At most `resolution` numbers a side."""
        _, height, width = seen.public.image_shape
        return cls(seen.public.image_shape, (min(height, resolution), min(width, resolution)))

    @property
    def size(self) -> int:
        """Numbers of a point."""
        return self.shape[0] * self.coarse[0] * self.coarse[1]

    def pictures(self, points: Tensor) -> Tensor:
        """Clamped to [0, 1] and enlarged bilinearly, `(N, C, H, W)`; a grid as large as the picture is the picture."""
        grids = points.clamp(0, 1).reshape(-1, self.shape[0], *self.coarse)
        if self.coarse == self.shape[1:]:
            return grids
        return functional.interpolate(grids, size=self.shape[1:], mode="bilinear", align_corners=False)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Points `(count, d)` of all degrees of coarseness: uniform values on 1 x 1 to h x w, enlarged bilinearly."""
        sides = torch.randint(1, max(self.coarse) + 1, (count,), generator=generator).tolist()
        drawn = []
        for side in sides:
            smaller = (min(side, self.coarse[0]), min(side, self.coarse[1]))
            values = torch.rand(1, self.shape[0], *smaller, generator=generator)
            drawn.append(functional.interpolate(values, size=self.coarse, mode="bilinear", align_corners=False))
        return torch.cat(drawn).reshape(count, -1)
