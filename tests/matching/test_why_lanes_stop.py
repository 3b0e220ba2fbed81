"""Why a lane stopped: the same words mean the same thing for every optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from curves import Curve, bowl, cliff, drawn, silent
from torch import Tensor

from invbench.matching.adam import adam
from invbench.matching.lbfgs import lbfgs
from invbench.matching.outcome import Outcome, Stop, counted, last_evaluations, when_spent, why_stopped
from invbench.matching.wolfe import lbfgs_wolfe

Minimise = Callable[[Curve, Tensor, int, float], Outcome]
"""From a curve, the starts, the iterations and the tolerance."""


def by_adam(curve: Curve, start: Tensor, iterations: int, tolerance: float) -> Outcome:
    stop = torch.full((len(start),), tolerance, dtype=start.dtype)
    return adam(
        curve, start, iterations=iterations, lr=0.05, signed=False, schedule="none", report=silent, tolerance=stop
    )


def by_lbfgs(curve: Curve, start: Tensor, iterations: int, tolerance: float) -> Outcome:
    stop = torch.full((len(start),), tolerance, dtype=start.dtype)
    return lbfgs(curve, start, iterations=iterations, lr=1.0, memory=20, patience=40, tolerance=stop, report=silent)


def by_line_search(curve: Curve, start: Tensor, iterations: int, tolerance: float) -> Outcome:
    stop = torch.full((len(start),), tolerance, dtype=start.dtype)
    return lbfgs_wolfe(curve, start, iterations=iterations, memory=20, patience=40, tolerance=stop, report=silent)


EVERY = pytest.mark.parametrize("minimise", [by_adam, by_lbfgs, by_line_search])


@EVERY
def test_a_budget_cut_short_is_spent_while_the_value_still_falls_and_more_of_it_helps(minimise: Minimise) -> None:
    curve, start = Curve(bowl, drawn(2, 6)), drawn(2, 6, seed=1)
    cut, longer = (minimise(curve, start, iterations, -math.inf) for iterations in (6, 60))
    assert cut.stopped.tolist() == [Stop.BUDGET_SPENT] * 2
    assert (longer.objective < 0.9 * cut.objective).all()


@EVERY
def test_a_lane_that_reached_its_tolerance_converged_even_at_its_last_evaluation(minimise: Minimise) -> None:
    curve, start = Curve(lambda x, c: (x - c).square().sum(), drawn(2, 4)), drawn(2, 4, seed=1)
    outcome = minimise(curve, start, 300, 1e-3)
    assert outcome.stopped.tolist() == [Stop.CONVERGED] * 2
    exactly = int(outcome.evaluations.max()) - 1
    assert minimise(curve, start, exactly, 1e-3).stopped.tolist() == [Stop.CONVERGED] * 2


@EVERY
def test_a_lane_at_the_foot_of_a_curve_that_ends_above_its_tolerance_is_at_rest(minimise: Minimise) -> None:
    curve = Curve(lambda x, c: 1 + (x - c).square().sum(), drawn(2, 4))
    outcome = minimise(curve, drawn(2, 4, seed=1), 400, 0.5)
    assert outcome.stopped.tolist() == [Stop.AT_REST] * 2
    torch.testing.assert_close(outcome.objective, torch.ones(2, dtype=torch.float64), rtol=1e-2, atol=0)


@EVERY
def test_a_lane_without_a_finite_value_diverged(minimise: Minimise) -> None:
    edges = torch.tensor([[5.0] * 3, [-9.0] * 3], dtype=torch.float64)
    outcome = minimise(Curve(cliff, edges), torch.ones(2, 3, dtype=torch.float64), 5, -math.inf)
    assert outcome.stopped[0] == Stop.DIVERGED
    assert outcome.stopped[1] != Stop.DIVERGED


@EVERY
@pytest.mark.parametrize("iterations", [1, 2, 9, 10, 11, 60])
def test_no_lane_is_left_without_a_reason(minimise: Minimise, iterations: int) -> None:
    outcome = minimise(Curve(bowl, drawn(3, 5)), drawn(3, 5, seed=1), iterations, 1e-2)
    assert (outcome.stopped != Stop.RUNNING).all()


def test_a_lane_whose_value_no_longer_fell_is_not_called_falling() -> None:
    before, least = torch.tensor([1.0, 1.0, 1.0, torch.inf]), torch.tensor([1.0, 0.995, 0.98, 3.0])
    assert when_spent(least, before).tolist() == [Stop.AT_REST, Stop.AT_REST, Stop.BUDGET_SPENT, Stop.BUDGET_SPENT]


def test_the_end_of_a_budget_is_a_tenth_of_it_or_ten_evaluations() -> None:
    assert [last_evaluations(n) for n in (1, 5, 10, 60, 100, 4800)] == [1, 5, 10, 10, 10, 480]


def test_the_first_reason_that_holds_counts() -> None:
    yes, no = torch.tensor([True, True, False]), torch.tensor([False, True, False])
    assert why_stopped((no, Stop.DIVERGED), (yes, Stop.AT_REST)).tolist() == [Stop.AT_REST, Stop.DIVERGED, Stop.RUNNING]


def test_reasons_are_counted_in_words() -> None:
    assert counted([Stop.DIVERGED, Stop.BUDGET_SPENT, Stop.DIVERGED]) == {"budget spent": 1, "diverged": 2}
    assert counted([]) == {}
