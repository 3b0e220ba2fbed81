"""Pruning of small gradients, layer by layer (Zhu et al. 2019, arXiv 1906.08935, section 5.2: gradient compression)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.defenses import Context, Defense
from invbench.defenses._sending import sparse_bytes
from invbench.defenses._sparse import hides_which, only
from invbench.observation import Update
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class Prune(Defense):
    """Set the `share` of each tensor's entries to zero that are smallest by magnitude.

    round(share * n) of a tensor's n entries are zeroed, and at least one is kept; of equals the later go first. `top-k`
    ranks the whole update at once: there a layer of small gradients is lost altogether, here each keeps the same
    share. It is the baseline called `prune` or model compression in papers on defences, who take 0.7 to 0.99.
    """

    leaves_out = True
    shortens = True

    share: float = parameter(0.9, help="share of each tensor's entries that are set to zero", above=0, below=1)

    def update(self, shared: Update, context: Context) -> Update:
        return tuple(self._pruned(tensor) for tensor in shared)

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """What was pruned is no larger than the least of its tensor that was kept: anything up to it, evenly.

        Where a later defence filled a tensor's zeros, which were kept is hidden: the largest that are expected.
        """
        pairs = [self._expected(*three) for three in zip(expected, variance, seen, strict=True)]
        return tuple(m for m, _ in pairs), tuple(v for _, v in pairs)

    def interval(self, low: Update, high: Update, seen: Update) -> tuple[Update, Update]:
        """What was pruned is no larger than the least of its tensor that was kept."""
        limits = [self._least(tensor) for tensor in seen]
        return (
            tuple(torch.where(t != 0, a, -least) for a, t, least in zip(low, seen, limits, strict=True)),
            tuple(torch.where(t != 0, b, least) for b, t, least in zip(high, seen, limits, strict=True)),
        )

    def message_bytes(self, shared: Update, clients: int, before: int) -> int:
        """The values that were kept and their places."""
        return sparse_bytes(shared, before)

    def _kept(self, n: int) -> int:
        return max(1, n - round(self.share * n))

    def _pruned(self, tensor: Tensor) -> Tensor:
        vector = tensor.reshape(-1)
        largest_first = vector.abs().argsort(descending=True, stable=True)
        return only(vector, largest_first[: self._kept(len(vector))]).reshape(tensor.shape)

    def _expected(self, mean: Tensor, variance: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        if self._hidden(seen):
            return self._pruned(mean), variance
        least = self._least(seen)
        return (
            torch.where(seen != 0, mean, mean - mean.clamp(-least, least)),
            torch.where(seen != 0, variance, variance + least**2 / 3),
        )

    def _least(self, seen: Tensor) -> float:
        """The smallest magnitude that was kept of a tensor; 0 where nothing was, or where it is hidden."""
        kept = seen[seen != 0].abs()
        return 0.0 if self._hidden(seen) or not len(kept) else float(kept.min())

    def _hidden(self, seen: Tensor) -> bool:
        return hides_which((seen,), self._kept(seen.numel()))
