"""What the other pictures of a batch add to an update: a Gaussian whose covariance is that of gradients of single ones.

C = (1 - s) X'X / M + s V of centred gradients X `(M, n)` of the attacker's own pictures, V the diagonal of their
variances: the sample covariance has rank M - 1 at most, and V fills in what it does not see (Schafer and Strimmer 2005,
target D). The share s is the one under which every fifth picture is likeliest given the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

SHARES: Sequence[float] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
_HELD_OUT = 5
_LEAST = 1e-6  # variance of an entry, relative to the mean over all: what does not vary in the sample may yet
LEAST_PICTURES = 10


@dataclass(frozen=True, eq=False)
class Background:
    """Gradients of single pictures `rows` `(M, n)`, float64, without their mean, `variance` `(n,)` and share s."""

    rows: Tensor
    variance: Tensor
    share: float

    @classmethod
    def centred(cls, rows: Tensor) -> Background:
        """Of rows from which their mean has been taken."""
        variance = _floored(rows.square().mean(dim=0))
        return cls(rows, variance, _likeliest_share(rows, variance))

    def covariance(self, times: float, noise: Tensor) -> Covariance:
        """times C + diag(noise) `(n,)`, positive in every entry."""
        diagonal = times * self.share * self.variance + noise
        spread = math.sqrt(times * (1 - self.share) / len(self.rows))
        factor = self.rows * (spread / diagonal.sqrt()) if spread else self.rows[:0]
        return Covariance(factor, diagonal)


@dataclass(frozen=True, eq=False)
class Covariance:
    """A = D^1/2 (I + F'F) D^1/2 of factor rows F `(M, n)` and D = diag(d), d `(n,)` positive.

    By Woodbury's identity A^-1 = D^-1/2 (I - F' (I + F F')^-1 F) D^-1/2; with the Cholesky factor L of I + F F'

        x' A^-1 y = <D^-1/2 x, D^-1/2 y> - <L^-1 F D^-1/2 x, L^-1 F D^-1/2 y>
    """

    factor: Tensor
    diagonal: Tensor

    @cached_property
    def _cholesky(self) -> Tensor:
        gram = self.factor @ self.factor.T
        gram.diagonal().add_(1.0)
        root: Tensor = torch.linalg.cholesky(gram)
        return root

    def whitened(self, vectors: Tensor) -> Whitened:
        """Vectors `(N, n)`, ready for products under A^-1."""
        scaled = vectors / self.diagonal.sqrt()
        inside: Tensor = torch.linalg.solve_triangular(self._cholesky, self.factor @ scaled.T, upper=False)
        return Whitened(scaled, inside.T)

    @cached_property
    def log_determinant(self) -> float:
        return float(self.diagonal.log().sum() + 2 * self._cholesky.diagonal().log().sum())


@dataclass(frozen=True, eq=False)
class Whitened:
    """Both sides of a product under A^-1 (`Covariance`): `scaled` `(N, n)` and what is taken off, `inside` `(N, M)`."""

    scaled: Tensor
    inside: Tensor

    def times(self, other: Whitened) -> Tensor:
        """x' A^-1 y of every pair, `(N, N')`."""
        product: Tensor = self.scaled @ other.scaled.T - self.inside @ other.inside.T
        return product

    def squares(self) -> Tensor:
        """x' A^-1 x of each, `(N,)`."""
        return self.scaled.square().sum(dim=1) - self.inside.square().sum(dim=1)


def _floored(variance: Tensor) -> Tensor:
    mean = float(variance.mean())
    return variance.clamp_min(_LEAST * mean if mean > 0 else 1.0)


def _likeliest_share(rows: Tensor, variance: Tensor) -> float:
    """The share of `SHARES` under which held-out rows are likeliest; from one Gram matrix of all rows.

    In coordinates divided by their standard deviations C is (1 - s) Z'Z / M + s I, whose eigenvectors are those of the
    taught rows' Gram matrix whatever s is.
    """
    gram = (rows / variance) @ rows.T
    held = torch.arange(len(rows), device=rows.device) % _HELD_OUT == _HELD_OUT - 1
    values, vectors = torch.linalg.eigh(gram[~held][:, ~held])
    values = values.clamp_min(0)
    seen = vectors.T @ gram[~held][:, held]  # (taught, held): coordinates times the root of their eigenvalue
    squares, size, taught = gram.diagonal()[held], rows.shape[1], int((~held).sum())

    def surprise(share: float) -> float:
        spread = (1 - share) / taught
        inside = (seen.square() * (spread / (share * (share + spread * values)))[:, None]).sum(dim=0)
        logs = (size - taught) * math.log(share) + float((share + spread * values).log().sum())
        return float((squares / share - inside).mean()) + logs

    return min(SHARES, key=surprise)
