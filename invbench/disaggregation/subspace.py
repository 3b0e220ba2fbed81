"""The space in which every client's column of the participation matrix lies, as far as noise lets it be seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invbench.disaggregation.counts import Floats

_LEAST = 1e-12
"""Of the largest eigenvalue: float32 sums leave 1e-14 of it, squared singular values."""


@dataclass(frozen=True, eq=False)
class Subspace:
    """`basis` `(T, r)`: the r largest left singular vectors. `eigenvalues` `(T,)`: all, from the largest."""

    basis: Floats
    eigenvalues: Floats

    @property
    def rank(self) -> int:
        return int(self.basis.shape[1])

    @property
    def swap(self) -> float:
        """What one round too many and one too few add to a column's misfit on average: 2 (1 - r / T)."""
        return 2 * (1 - self.rank / len(self.basis))

    def project(self, columns: Floats) -> Floats:
        """U U' x of each column."""
        found: Floats = self.basis @ (self.basis.T @ columns)
        return found

    def misfit(self, columns: Floats) -> Floats:
        """|(I - U U') x|^2 of each column `(T, n)`: the paper's objective, `(n,)`."""
        found: Floats = np.square(columns - self.project(columns)).sum(axis=0)
        return found

    def outside(self) -> Floats:
        """I - U U', `(T, T)`."""
        found: Floats = np.eye(len(self.basis)) - self.basis @ self.basis.T
        return found


def subspace(sums: Floats, rank: int) -> Subspace:
    """Of `sums` `(T, d)`, the first `rank` directions, or as many as are above rounding.

    Through the Gram matrix `(T, T)`: rounds are few beside entries of an update.
    """
    eigenvalues, vectors = np.linalg.eigh(sums @ sums.T)
    eigenvalues, vectors = eigenvalues[::-1], vectors[:, ::-1]
    there = int((eigenvalues > _LEAST * eigenvalues[0]).sum())
    return Subspace(vectors[:, : max(1, min(rank, there))], eigenvalues)
