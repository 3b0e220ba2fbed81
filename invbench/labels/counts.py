"""How many pictures of each class a batch holds, in whole numbers, and the labels that say so.

With mean cross-entropy over B pictures the last bias has G_j = mean p_j - n_j / B, p the softmax and n_j how many are
of class j. So n_j = B (mean p_j - G_j) exactly, and every strategy for batches is a guess at the batch's mean p.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Read:
    """Labels `(B,)`, int64, and what is to be said of how they were read."""

    labels: Tensor
    notes: tuple[str, ...] = ()


def whole(counts: Tensor, total: int) -> Tensor:
    """Whole numbers `(K,)`, int64, that add up to `total`, nearest to `counts` `(K,)` by largest remainders.

    What is negative is 0; then all are scaled to the sum, rounded down, and the largest remainders get one more, of
    equal ones that of the lower class. Where nothing is left, or something is not finite, classes share alike.
    """
    shares = counts.double().clamp(min=0)
    if not bool(shares.isfinite().all()) or not float(shares.sum()) > 0:
        shares = torch.ones_like(shares)
    shares = shares * (total / shares.sum())
    found = shares.floor()
    left = total - int(found.sum())
    found[(shares - found).argsort(descending=True, stable=True)[:left]] += 1
    return found.to(torch.int64)


def labels_of(counts: Tensor) -> Tensor:
    """Labels in rising order, `(B,)`, of how many there are of each class `(K,)`."""
    return torch.arange(len(counts)).repeat_interleave(counts.cpu())
