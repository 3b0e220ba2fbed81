"""Conjugate gradients: the minimum to the last digit even where the inverse they are given is a poor one."""

from __future__ import annotations

import torch
from torch import Tensor

from invbench.peeling.conjugate import minimise


def quadratic(condition: float) -> tuple[Tensor, Tensor, Tensor]:
    """A positive matrix of that condition, a right-hand side, and where they meet."""
    torch.manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(30, 30, dtype=torch.float64))
    matrix = turn @ torch.diag(torch.logspace(0, torch.tensor(condition).log10(), 30, dtype=torch.float64)) @ turn.T
    x = torch.randn(30, dtype=torch.float64)
    return matrix, matrix @ x, x


def solved(matrix: Tensor, right: Tensor, inverse: Tensor) -> Tensor:
    return minimise(30, lambda x: right - matrix @ x, lambda d: float(d @ matrix @ d), lambda slope: inverse @ slope)


def test_the_exact_inverse_needs_one_step_and_a_poor_one_more_for_the_same_answer() -> None:
    matrix, right, x = quadratic(1e4)
    inverse = torch.linalg.inv(matrix)
    poor = torch.linalg.inv(matrix + torch.diag(matrix.diagonal()))  # fixed steps would take many
    for given in (inverse, poor):
        distance = solved(matrix, right, given) - x
        assert float(distance @ matrix @ distance) < 1e-4


def test_at_the_minimum_already_nothing_moves() -> None:
    matrix, right, _ = quadratic(10.0)
    assert torch.equal(solved(matrix, torch.zeros_like(right), torch.linalg.inv(matrix)), torch.zeros_like(right))
