"""Minimisers that ask for costs alone: they find the minimum, count what they ask, and draw from their stream alone."""

from __future__ import annotations

import sys
import warnings
from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor

from invbench.inversion.queries import Ask, Plan, cma_es, nes, spsa

PLAN = Plan(sigma=0.05, population=20, step=0.02)
GOAL = torch.linspace(0.2, 0.8, 6)
OWN = pytest.mark.parametrize("minimise", [nes, spsa])


def bowl(asked: list[int]) -> Ask:
    def cost(points: Tensor) -> Tensor:
        asked.append(len(points))
        return (points - GOAL).double().square().sum(dim=1)

    return cost


def search(minimise: object, steps: int, seed: int = 0) -> tuple[list[tuple[Tensor, float]], int]:
    asked: list[int] = []
    found = minimise(bowl(asked), torch.full((6,), 0.5), torch.Generator().manual_seed(seed), PLAN)  # type: ignore[operator]
    return list(islice(found, steps)), sum(asked)


@OWN
def test_the_minimum_is_found(minimise: object) -> None:
    found, _ = search(minimise, 60)
    assert found[0][1] == pytest.approx(float((GOAL - 0.5).square().sum()))
    assert min(cost for _, cost in found) < 0.01 * found[0][1]


@OWN
def test_a_cost_is_that_of_its_point(minimise: object) -> None:
    for point, cost in search(minimise, 10)[0]:
        assert cost == pytest.approx(float((point - GOAL).double().square().sum()), abs=1e-7)
        assert float(point.min()) >= 0
        assert float(point.max()) <= 1


@OWN
def test_the_same_stream_gives_the_same_search_and_another_one_another(minimise: object) -> None:
    first, again, other = (search(minimise, 8, seed)[0][-1][1] for seed in (0, 0, 1))
    assert first == again != other


def test_what_is_asked_is_as_said() -> None:
    assert search(nes, 4)[1] == 1 + 3 * 21
    assert search(spsa, 4)[1] == 1 + 20 + 3 * (2 * 20 + 1)


def test_nes_estimates_the_gradient() -> None:
    """One long estimate at a slope: its direction is the gradient's."""
    slope = torch.tensor([3.0, 0.0, -1.0, 0.5])
    plan = Plan(sigma=0.1, population=4000, step=1e-3)
    found = nes(lambda x: (x @ slope).double(), torch.full((4,), 0.5), torch.Generator().manual_seed(0), plan)
    moved = list(islice(found, 2))[1].point - 0.5
    # Adam's first step has the sign of each coordinate: of the one without slope it is chance's.
    assert torch.equal(moved[[0, 2, 3]].sign(), -slope[[0, 2, 3]].sign())


def test_cma_es_finds_it_too_and_moves_no_global_stream() -> None:
    pytest.importorskip("cma", reason="needs the extra cma")
    before = str(np.random.get_state())
    found, asked = search(cma_es, 40)
    assert str(np.random.get_state()) == before
    assert min(cost for _, cost in found) < 0.01 * found[0][1]
    assert asked == 1 + 39 * PLAN.population
    assert search(cma_es, 5)[0][-1][1] == search(cma_es, 5)[0][-1][1]


def test_cma_es_does_not_speak_of_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matplotlib the package warns when it is imported: on the terminal, in the middle of a run's lines."""
    pytest.importorskip("cma", reason="needs the extra cma")
    for name in [name for name in sys.modules if name.partition(".")[0] in ("cma", "matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        search(cma_es, 1)
