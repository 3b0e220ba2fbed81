"""Plain least squares: no weights, no prior, and the shortest of several solutions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_REFINED = 4
"""Solutions one after the other, each of what the last one left: a normal matrix has the square of the condition."""

_TURNS = 10
"""Of the power iterations for the largest and the least eigenvalue: they end within some tenth of them."""


@dataclass(frozen=True, eq=False)
class Solved:
    """The shortest x of those with the least |A x - b|, A's rank and its condition (the largest of its singular values
    that do not count as zero over the least)."""

    value: Tensor
    rank: int
    condition: float


def solve(normal: Tensor, descent: Callable[[Tensor], Tensor]) -> Solved:
    """Of A'A `(n, n)`, and `descent(x)` = A'(b - A x) `(n,)`, which is computed without A'A.

    Singular values below sqrt(n 2^-52) of the largest count as zero: rounding of A'A hides them.
    """
    inverse, rank, condition = _inverse(normal)
    value = torch.zeros_like(normal[0])
    for _ in range(_REFINED):
        value = value + inverse(descent(value))
    return Solved(value, rank, condition)


def _inverse(normal: Tensor) -> tuple[Callable[[Tensor], Tensor], int, float]:
    """The (pseudo-)inverse of a normal matrix A'A as a function of a vector, and A's rank and condition."""
    hidden = len(normal) * torch.finfo(normal.dtype).eps
    factor, failed = torch.linalg.cholesky_ex(normal)
    if not bool(failed):

        def whole(vector: Tensor) -> Tensor:
            return torch.cholesky_solve(vector[:, None], factor)[:, 0]

        squared = _largest(lambda vector: normal @ vector, len(normal)) * _largest(whole, len(normal))
        if squared * hidden < 1:
            return whole, len(normal), math.sqrt(squared)
    values, vectors = torch.linalg.eigh(normal)
    told = values > hidden * values[-1]
    values, vectors = values[told], vectors[:, told]
    condition = math.sqrt(float(values[-1] / values[0])) if len(values) else math.inf
    return lambda vector: vectors @ (vectors.T @ vector / values), len(values), condition


def _largest(operator: Callable[[Tensor], Tensor], size: int) -> float:
    """The largest eigenvalue of a positive operator, from below, by power iterations from a fixed start."""
    vector = torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in range(_TURNS):
        vector = operator(vector / vector.norm())
    return float(vector.norm())
