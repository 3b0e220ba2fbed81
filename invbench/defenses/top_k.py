"""Top-k sparsification (Aji and Heafield 2017, arXiv 1704.05021), without their error feedback."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from invbench.defenses import flatten
from invbench.defenses._sparse import kept_count, only
from invbench.observation import Update
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class TopK:
    """Share the k largest coordinates of the whole update by magnitude, zeros elsewhere.

    k = max(1, round(fraction * n)); of equals the earlier stays. Which ones were kept is seen by everybody.
    """

    fraction: float = parameter(help="share of coordinates kept", above=0, at_most=1)

    def update(self, shared: Update, generator: torch.Generator) -> Update:
        vector, restore = flatten(shared)
        largest_first = vector.abs().argsort(descending=True, stable=True)
        return restore(only(vector, largest_first[: kept_count(self.fraction, vector.numel())]))
