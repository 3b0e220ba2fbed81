"""Sharing some coordinates of the whole update and zeros elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from invbench.observation import Update


def kept_count(fraction: float, n: int) -> int:
    """k = max(1, round(fraction * n)): never nothing."""
    return max(1, round(fraction * n))


def only(vector: Tensor, kept: Tensor) -> Tensor:
    """The vector `(n,)` at the indexes `kept` `(k,)`, zeros elsewhere."""
    return torch.zeros_like(vector).index_copy(0, kept, vector[kept])


def hides_which(seen: Update, k: int) -> bool:
    """Whether a later defence filled the zeros, so that nobody sees which k coordinates were kept."""
    return sum(int(tensor.count_nonzero()) for tensor in seen) > k
