"""L-BFGS with a line search a lane: what it reaches, what it accepts, and that lanes do not mind each other."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from curves import Curve, bowl, cliff, drawn, silent, wells
from torch import Tensor

from invbench.matching.history import Ring
from invbench.matching.lbfgs import History
from invbench.matching.outcome import Outcome
from invbench.matching.wolfe import lbfgs_wolfe


def run(curve: Curve, start: Tensor, **settings: Any) -> Outcome:
    defaults = {"iterations": 60, "memory": 20, "patience": 10**6}
    tolerance = settings.pop("tolerance", torch.full((len(start),), -math.inf))
    return lbfgs_wolfe(curve, start, tolerance=tolerance, report=silent, **(defaults | settings))


def rosenbrock(x: Tensor, c: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1].square()).square() + (1 - x[:-1]).square()).sum()


def test_rosenbrocks_valley_is_walked_to_its_end_from_every_start() -> None:
    start = drawn(5, 2, seed=1) * 1.5
    outcome = run(Curve(rosenbrock, start), start, iterations=400, tolerance=torch.full((5,), 1e-16))
    assert outcome.converged.all()
    assert outcome.evaluations.max() < 150
    torch.testing.assert_close(outcome.variables, torch.ones_like(start), rtol=0, atol=1e-6)


def test_every_step_taken_lowers_the_value() -> None:
    curve = Curve(rosenbrock, drawn(1, 6), penalty=lambda x, c: 0.1 * x.abs().sum())
    start, values = drawn(1, 6, seed=2) * 3, []
    for budget in range(0, 40):
        [x] = run(curve, start, iterations=budget).variables
        values.append(float(rosenbrock(x, x) + 0.1 * x.abs().sum()))
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.01 * values[0]


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_the_iterates_do_not_depend_on_the_scale_of_the_objective(scale: float) -> None:
    start = drawn(2, 6, seed=1)
    plain = run(Curve(wells, drawn(2, 6)), start, iterations=15)
    scaled = run(Curve(lambda x, c: scale * wells(x, c), drawn(2, 6)), start, iterations=15)
    torch.testing.assert_close(scaled.variables, plain.variables, rtol=1e-6, atol=1e-9)


def test_a_kink_does_not_stop_it() -> None:
    """|x| summed with a bowl that is least elsewhere: its least point has coordinates at the kink."""

    def kinked(x: Tensor, c: Tensor) -> Tensor:
        return 3 * x.abs().sum() + (x - c).square().sum()

    constants = torch.tensor([[1.0, 5.0, -0.5, -4.0]], dtype=torch.float64)
    outcome = run(Curve(kinked, constants), drawn(1, 4, seed=3) * 4, iterations=300)
    expected = torch.tensor([[0.0, 3.5, 0.0, -2.5]], dtype=torch.float64)
    torch.testing.assert_close(outcome.variables, expected, rtol=0, atol=0.02)


def test_what_a_lane_does_does_not_depend_on_the_others_nor_on_their_order() -> None:
    constants, start = drawn(4, 8), drawn(4, 8, seed=1)
    together = run(Curve(wells, constants), start, iterations=12)
    order = torch.tensor([3, 1, 0])
    fewer = run(Curve(wells, constants[order]), start[order], iterations=12)
    torch.testing.assert_close(fewer.variables, together.variables[order], rtol=1e-9, atol=1e-12)
    assert fewer.evaluations.tolist() == together.evaluations[order].tolist()


def test_a_lane_that_converged_leaves_and_the_others_go_on_unchanged() -> None:
    constants = drawn(3, 12)
    start = constants + drawn(3, 12, seed=1) * torch.tensor([[1.0], [1e-4], [0.3]])
    curve = Curve(bowl, constants)
    outcome = run(curve, start, tolerance=torch.tensor([-1.0, 1e-7, -1.0]), iterations=25)
    assert outcome.converged.tolist() == [False, True, False]
    left = int(outcome.evaluations[1])
    assert 1 < left < 20
    assert [len(variables) for variables in curve.visited] == [3] * left + [2] * (26 - left)
    alone = run(Curve(bowl, constants[[0, 2]]), start[[0, 2]], iterations=25)
    torch.testing.assert_close(outcome.variables[[0, 2]], alone.variables, rtol=1e-9, atol=1e-12)


def test_evaluations_are_the_budget_whatever_they_were_spent_on() -> None:
    curve = Curve(rosenbrock, drawn(2, 6))
    assert run(curve, drawn(2, 6, seed=1) * 3, iterations=9).evaluations.tolist() == [10, 10]
    assert len(curve.visited) == 10


def test_a_point_without_a_finite_value_is_a_step_too_long() -> None:
    edges = torch.full((1, 3), -0.9, dtype=torch.float64)
    outcome = run(Curve(cliff, edges), torch.full((1, 3), 4.0, dtype=torch.float64))
    assert not outcome.diverged.any()
    assert -0.9 <= outcome.variables[0, 0] < -0.8
    assert torch.isfinite(outcome.objective).all()


def test_a_lane_without_a_finite_value_at_its_start_has_diverged_and_the_others_go_on() -> None:
    edges = torch.tensor([[5.0] * 3, [-9.0] * 3], dtype=torch.float64)
    start = torch.ones(2, 3, dtype=torch.float64)
    outcome = run(Curve(cliff, edges), start)
    assert outcome.diverged.tolist() == [True, False]
    assert outcome.evaluations[0] == 1
    assert torch.equal(outcome.variables[0], start[0])
    torch.testing.assert_close(outcome.variables[1], -torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-6)


def test_variables_stay_in_the_box_and_the_best_point_on_its_walls_is_found() -> None:
    limit = torch.full((4,), 0.5, dtype=torch.float64)
    curve = Curve(lambda x, c: (x - c).square() @ torch.logspace(0, 3, 4, dtype=x.dtype), drawn(2, 4) * 2)
    boxed = Curve(curve.function, curve.constants, -limit, limit)
    outcome = run(boxed, drawn(2, 4, seed=1).clamp(-0.5, 0.5), iterations=100)
    assert all(variables.abs().max() <= 0.5 for variables in boxed.visited)
    torch.testing.assert_close(outcome.variables, curve.constants.clamp(-0.5, 0.5), rtol=0, atol=1e-6)


def test_a_lane_rests_when_it_stands_at_a_minimum() -> None:
    outcome = run(Curve(lambda x, c: 1 + (x - c).square().sum(), drawn(2, 4)), drawn(2, 4, seed=1), iterations=500)
    assert outcome.evaluations.max() < 100
    torch.testing.assert_close(outcome.objective, torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("patience", [4, 7])
def test_patience_is_asked_for_the_first_time_after_its_own_number_of_evaluations(patience: int) -> None:
    def plateau(x: Tensor, c: Tensor) -> Tensor:
        return 1 + 1e-6 * bowl(x, c)

    outcome = run(Curve(plateau, drawn(1, 8)), drawn(1, 8, seed=1), patience=patience)
    assert outcome.evaluations.tolist() == [patience + 1]


def test_a_lanes_pairs_do_not_depend_on_which_pairs_the_other_lanes_take_or_forget() -> None:
    stream = torch.Generator().manual_seed(0)
    together, alone = Ring(drawn(3, 5), 4), [Ring(drawn(1, 5), 4) for _ in range(3)]
    for turn in range(30):
        step, change = drawn(3, 5, seed=turn), drawn(3, 5, seed=100 + turn)
        offered, forgotten = torch.rand(3, generator=stream) < 0.7, torch.rand(3, generator=stream) < 0.1
        together.push(step, change, offered)
        together.forget(forgotten)
        for k, ring in enumerate(alone):
            ring.push(step[k : k + 1], change[k : k + 1], offered[k : k + 1])
            ring.forget(forgotten[k : k + 1])
        gradient = drawn(3, 5, seed=200 + turn)
        apart = torch.cat([ring.direction(gradient[k : k + 1]) for k, ring in enumerate(alone)])
        torch.testing.assert_close(together.direction(gradient), apart, rtol=1e-12, atol=1e-12)
    assert len({int(count) for count in together.count}) > 1


def test_a_ring_remembers_as_many_pairs_as_it_has_places_though_some_were_not_taken() -> None:
    ring, plain = Ring(drawn(1, 6), 3), History(1, 3)
    everyone = torch.ones(1, dtype=torch.bool)
    steps, changes = drawn(5, 1, 6), drawn(5, 1, 6, seed=1)
    changes = torch.where((steps * changes).sum(dim=2, keepdim=True) > 0, changes, -changes)
    for step, change in zip(steps, changes, strict=True):
        ring.push(step, change, everyone)
        ring.push(step, -change, everyone)  # negative curvature
        ring.push(step, change, ~everyone)  # not offered
        plain.push(step, change)
    gradient = drawn(1, 6, seed=2)
    torch.testing.assert_close(ring.direction(gradient), plain.direction(gradient), rtol=1e-12, atol=1e-14)
    ring.forget(everyone)
    assert torch.equal(ring.direction(gradient), -gradient)
