"""Top-k sparsification (Aji and Heafield 2017, arXiv 1704.05021), without their error feedback."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.defenses import Context, Defense, flatten
from invbench.defenses._sending import sparse_bytes
from invbench.defenses._sparse import hides_which, kept_count, only
from invbench.observation import Update
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class TopK(Defense):
    """Share the k largest coordinates of the whole update by magnitude, zeros elsewhere.

    k = max(1, round(fraction * n)); of equals the earlier stays. Which ones were kept is seen by everybody.
    """

    leaves_out = True
    shortens = True

    fraction: float = parameter(help="share of coordinates kept", above=0, at_most=1)

    def update(self, shared: Update, context: Context) -> Update:
        vector, restore = flatten(shared)
        largest_first = vector.abs().argsort(descending=True, stable=True)
        return restore(only(vector, largest_first[: kept_count(self.fraction, vector.numel())]))

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """What was left out is no larger than the least that was kept: anything up to it, evenly.

        Where a later defence filled the zeros, which were kept is hidden: the largest that are expected.
        """
        if self._hidden(seen):
            return self.update(expected, Context(torch.Generator())), variance
        least = _least(seen)
        pairs = list(zip(expected, variance, seen, strict=True))
        return (
            tuple(torch.where(t != 0, m, m - m.clamp(-least, least)) for m, _, t in pairs),
            tuple(torch.where(t != 0, v, v + least**2 / 3) for _, v, t in pairs),
        )

    def interval(self, low: Update, high: Update, seen: Update) -> tuple[Update, Update]:
        """What was left out is no larger than the least that was kept; what that is, a later defence may hide."""
        if self._hidden(seen):
            return low, high
        least = _least(seen)
        return (
            tuple(torch.where(t != 0, a, -least) for a, t in zip(low, seen, strict=True)),
            tuple(torch.where(t != 0, b, least) for b, t in zip(high, seen, strict=True)),
        )

    def message_bytes(self, shared: Update, clients: int, before: int) -> int:
        """The values that were kept and their places."""
        return sparse_bytes(shared, before)

    def _hidden(self, seen: Update) -> bool:
        return hides_which(seen, kept_count(self.fraction, sum(map(Tensor.numel, seen))))


def _least(seen: Update) -> float:
    """The smallest magnitude that was sent; 0 where nothing was."""
    return min((float(t[t != 0].abs().min()) for t in seen if (t != 0).any()), default=0.0)
