"""Top-k sparsification (Aji and Heafield 2017, arXiv 1704.05021)."""

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

    `feedback_rounds`: their error feedback (Algorithm 1). What was left out of so many earlier rounds was
    remembered and added to the next one. A game plays one round; the earlier ones are taken to have had the same
    batch and the same weights, as of a client with few pictures whose model hardly moves, and what they sent is not
    shown. A coordinate that is sent then stands for as many rounds as it waited, and with time every one is sent.
    """

    leaves_out = True

    fraction: float = parameter(help="share of coordinates kept", above=0, at_most=1)
    feedback_rounds: int = parameter(
        0,
        later=True,
        at_least=0,
        at_most=10_000,
        unit="rounds",
        help="earlier rounds whose left-out rest is added first",
    )

    @property
    def shortens(self) -> bool:
        """Not with error feedback: what waited comes on top of this round's update."""
        return not self.feedback_rounds

    def update(self, shared: Update, context: Context) -> Update:
        return self._kept(self._remembered(shared))

    def _kept(self, shared: Update) -> Update:
        vector, restore = flatten(shared)
        largest_first = vector.abs().argsort(descending=True, stable=True)
        return restore(only(vector, largest_first[: kept_count(self.fraction, vector.numel())]))

    def _remembered(self, shared: Update) -> Update:
        """The update of this round and what is left of the earlier ones."""
        total = shared
        for _ in range(self.feedback_rounds):
            pairs = zip(total, self._kept(total), shared, strict=True)
            total = tuple(all_ - sent + now for all_, sent, now in pairs)
        return total

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """What was left out is no larger than the least that was kept: anything up to it, evenly.

        Where a later defence filled the zeros, which were kept is hidden: the largest that are expected.
        """
        mean = self._remembered(expected)
        waited = [torch.where(m != 0, t / m, 1.0) for m, t in zip(expected, mean, strict=True)]
        variance = tuple(v * rounds.square() for v, rounds in zip(variance, waited, strict=True))
        if self._hidden(seen):
            return self._kept(mean), variance
        least = _least(seen)
        pairs = list(zip(mean, variance, seen, strict=True))
        return (
            tuple(torch.where(t != 0, m, m - m.clamp(-least, least)) for m, _, t in pairs),
            tuple(torch.where(t != 0, v, v + least**2 / 3) for _, v, t in pairs),
        )

    def interval(self, low: Update, high: Update, seen: Update) -> tuple[Update, Update]:
        """What was left out is no larger than the least that was kept; what that is, a later defence may hide.

        What was sent stands for one round or for several, so that one of them lies between it and an equal share of it.
        """
        if self.feedback_rounds:
            share = 1 / (self.feedback_rounds + 1)
            low, high = (
                tuple(torch.minimum(a, a * share) for a in low),
                tuple(torch.maximum(b, b * share) for b in high),
            )
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
