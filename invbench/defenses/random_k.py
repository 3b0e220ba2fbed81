"""Random-k sparsification (rand_k of Stich et al. 2018, arXiv 1809.07599, without their memory).

Rescaled, it is the subsampling of Konecny et al. 2016, arXiv 1610.05492, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from invbench.defenses import Context, Defense, flatten
from invbench.defenses._sending import sparse_bytes
from invbench.defenses._sparse import hides_which, kept_count, only
from invbench.observation import Update
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class RandomK(Defense):
    """Share k coordinates of the whole update, drawn uniformly without replacement, zeros elsewhere.

    k = max(1, round(fraction * n)). The draw is the client's own; with `rescale` what is shared is the
    update in expectation.
    """

    leaves_out = True
    redraws = True

    fraction: float = parameter(help="share of coordinates kept", above=0, at_most=1)
    rescale: bool = parameter(False, help="multiply what is kept by n/k, so that the mean is unbiased")

    @property
    def shortens(self) -> bool:
        return not self.rescale

    def update(self, shared: Update, context: Context) -> Update:
        vector, restore = flatten(shared)
        n = vector.numel()
        k = kept_count(self.fraction, n)
        kept = torch.randperm(n, generator=context.generator)[:k].to(vector.device)
        return restore(only(vector, kept) * (n / k if self.rescale else 1))

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """Of a coordinate that was left out nothing is seen; one that is zero by itself counts as left out.

        Where a later defence filled the zeros, which were kept is hidden: each was with probability k/n.
        """
        n = sum(tensor.numel() for tensor in seen)
        k = kept_count(self.fraction, n)
        factor, share = n / k if self.rescale else 1.0, k / n
        if hides_which(seen, k):
            moments = [(m * factor, v * factor**2) for m, v in zip(expected, variance, strict=True)]
            return (
                tuple(share * m for m, _ in moments),
                tuple(share * v + share * (1 - share) * m.square() for m, v in moments),
            )
        pairs = zip(variance, seen, strict=True)
        return (
            tuple(m * factor for m in expected),
            tuple(torch.where(t != 0, v * factor**2, torch.inf) for v, t in pairs),
        )

    def interval(self, low: Update, high: Update, seen: Update) -> tuple[Update, Update]:
        """A coordinate that was left out may have been anything; which ones were, a later defence may hide."""
        n = sum(tensor.numel() for tensor in seen)
        k = kept_count(self.fraction, n)
        factor = n / k if self.rescale else 1.0
        if hides_which(seen, k):
            return tuple(t / factor for t in low), tuple(t / factor for t in high)
        return (
            tuple(torch.where(t != 0, a / factor, -torch.inf) for a, t in zip(low, seen, strict=True)),
            tuple(torch.where(t != 0, b / factor, torch.inf) for b, t in zip(high, seen, strict=True)),
        )

    def message_bytes(self, shared: Update, clients: int, before: int) -> int:
        """The values that were kept and their places: the seed of the draw is the client's secret."""
        return sparse_bytes(shared, before)
