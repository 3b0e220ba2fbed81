"""Plain least squares through the normal matrix: NumPy's answer, the shortest one where there are several."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from invbench.peeling.plain import Solved, solve


def solved(matrix: Tensor, target: Tensor) -> Solved:
    return solve(matrix.T @ matrix, lambda x: matrix.T @ (target - matrix @ x))


@pytest.mark.parametrize(("rank", "rows"), [(10, 30), (6, 30), (6, 6)])
def test_the_answer_its_rank_and_condition_are_those_of_numpy(rank: int, rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(*shape, generator=generator).double() for shape in ((rows, rank), (rank, 10)))
    matrix, target = left @ right, torch.randn(rows, generator=generator).double()
    found = solved(matrix, target)
    expected, _, told, singular = np.linalg.lstsq(matrix.numpy(), target.numpy(), rcond=1e-7)
    np.testing.assert_allclose(found.value.numpy(), expected, rtol=1e-8, atol=1e-9)
    assert found.rank == told == rank
    assert found.condition == pytest.approx(singular[0] / singular[rank - 1], rel=0.15)


def test_a_bad_condition_does_not_cost_digits_twice() -> None:
    """Refined: at a condition of 1e5 the normal matrix alone would leave 1e-6."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(20, 20, generator=generator).double())[0]
    matrix = basis * torch.logspace(0, -5, 20, dtype=torch.float64)
    truth = torch.ones(20, dtype=torch.float64)
    found = solved(matrix, matrix @ truth)
    torch.testing.assert_close(found.value, truth, rtol=0, atol=1e-9)
    assert found.rank == 20
