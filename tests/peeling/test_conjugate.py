"""Conjugate gradients: the minimum to the last digit even where the inverse they are given is a poor one."""

from __future__ import annotations

import torch
from torch import Tensor

from invbench.peeling.conjugate import _CLOSE, minimise

SIZE = 30


def quadratic(condition: float) -> tuple[Tensor, Tensor, Tensor]:
    """A positive matrix of that condition, a right-hand side, and where they meet."""
    torch.manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(SIZE, SIZE, dtype=torch.float64))
    matrix = turn @ torch.diag(torch.logspace(0, torch.tensor(condition).log10(), SIZE, dtype=torch.float64)) @ turn.T
    x = torch.randn(SIZE, dtype=torch.float64)
    return matrix, matrix @ x, x


def solved(matrix: Tensor, right: Tensor, inverse: Tensor) -> Tensor:
    return minimise(SIZE, lambda x: right - matrix @ x, lambda d: float(d @ matrix @ d), lambda slope: inverse @ slope)


def distance_allowed(matrix: Tensor, inverse: Tensor) -> float:
    """The largest e' A e at which the steps may end, e the distance to the minimum, A the matrix and P the inverse.

    They end where slope' P slope = (A e)' P (A e) <= _CLOSE^2 n, and that is at least the least eigenvalue of P A
    times e' A e. A slope that float64 rounded by |A| |x| n 2^-53 adds (n 2^-53)^2 cond(A) x' A x, which is nothing
    beside it.
    """
    least = float(torch.linalg.eigvals(inverse @ matrix).real.min())
    return _CLOSE**2 * SIZE / least


def test_the_exact_inverse_needs_one_step_and_a_poor_one_more_for_the_same_answer() -> None:
    matrix, right, x = quadratic(1e4)
    inverse = torch.linalg.inv(matrix)
    poor = torch.linalg.inv(matrix + torch.diag(matrix.diagonal()))  # fixed steps would take many
    for given in (inverse, poor):
        distance = solved(matrix, right, given) - x
        assert float(distance @ matrix @ distance) < 1.01 * distance_allowed(matrix, given)  # 1.01: eigvals' rounding


def test_at_the_minimum_already_nothing_moves() -> None:
    matrix, right, _ = quadratic(10.0)
    assert torch.equal(solved(matrix, torch.zeros_like(right), torch.linalg.inv(matrix)), torch.zeros_like(right))
