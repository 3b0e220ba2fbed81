"""L-BFGS of many lanes: torch's own, lane by lane and step by step, and the reasons for which a lane leaves."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from curves import Curve, bowl, cliff, drawn, silent, wells
from torch import Tensor

from invbench.matching.lbfgs import History, lbfgs
from invbench.matching.outcome import Outcome


def torch_lbfgs(curve: Curve, lane: int, start: Tensor, *, iterations: int, lr: float, memory: int) -> list[Tensor]:
    """Every iterate of torch's L-BFGS without line search and without its own stopping rules."""
    x = start[lane].clone().requires_grad_()
    iterates: list[Tensor] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        iterates.append(x.detach().clone())
        value = curve.function(x, curve.constants[lane])
        value.backward()
        return value

    optimizer = torch.optim.LBFGS(
        [x], lr=lr, max_iter=iterations, max_eval=10**9, history_size=memory, tolerance_grad=0, tolerance_change=0
    )
    optimizer.step(closure)
    return [*iterates, x.detach().clone()]


def run(curve: Curve, start: Tensor, **settings: Any) -> Outcome:
    defaults = {"iterations": 30, "lr": 1.0, "memory": 100, "patience": 10**6}
    tolerance = settings.pop("tolerance", torch.full((len(start),), -math.inf))
    return lbfgs(curve, start, tolerance=tolerance, report=silent, **(defaults | settings))


def path(curve: Curve, lane: int = 0) -> Tensor:
    """The iterates of a lane, where no lane has left."""
    return torch.stack([variables[lane] for variables in curve.visited])


@pytest.mark.parametrize(
    ("memory", "lr"), [(100, 1.0), (5, 1.0), (1, 1.0), (100, 0.5)], ids=["dlg", "memory 5", "memory 1", "lr 0.5"]
)
def test_every_lane_visits_what_torchs_lbfgs_visits(memory: int, lr: float) -> None:
    curve = Curve(bowl, drawn(3, 24))
    start = curve.constants + drawn(3, 24, seed=1) * torch.tensor([[0.3], [0.1], [4e-4]])
    slopes = curve.evaluate(start).gradient.abs().sum(dim=1)
    assert slopes[0] > 1 > slopes[2]  # the first step is scaled down for one lane and not for the other
    curve.visited.clear()
    run(curve, start, memory=memory, lr=lr, iterations=30)
    for lane in range(3):
        theirs = torch.stack(torch_lbfgs(curve, lane, start, iterations=30, lr=lr, memory=memory))
        torch.testing.assert_close(path(curve, lane), theirs, rtol=1e-6, atol=1e-9)
        assert (theirs[-1] - theirs[-2]).abs().max() > 1e-6  # still under way, so there was something to compare


def test_pairs_of_negative_curvature_are_left_out_as_torch_leaves_them_out() -> None:
    curve = Curve(wells, drawn(2, 6))
    start = drawn(2, 6, seed=1) * 0.05
    run(curve, start, iterations=20)
    for lane in range(2):
        theirs = torch.stack(torch_lbfgs(curve, lane, start, iterations=20, lr=1.0, memory=100))
        torch.testing.assert_close(path(curve, lane), theirs, rtol=1e-6, atol=1e-9)
    slopes = torch.stack([curve.evaluate(variables).gradient for variables in list(curve.visited)])
    curvature = ((curve.visited[1] - curve.visited[0]) * (slopes[1] - slopes[0])).sum(dim=1)
    assert (curvature < 0).any()


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_a_direction_does_not_depend_on_the_scale_of_the_objective(scale: float) -> None:
    steps, changes = drawn(8, 2, 6), drawn(8, 2, 6, seed=1)
    curvature = (steps * changes).sum(dim=2)
    assert (curvature > 0).any(dim=0).all()  # without a pair the direction is the slope itself
    assert (curvature < 0).any()
    plain, scaled = History(2, 10), History(2, 10)
    for step, change in zip(steps, changes, strict=True):
        plain.push(step, change)
        scaled.push(step, scale * change)
    expected, direction = plain.direction(drawn(2, 6, seed=2)), scaled.direction(scale * drawn(2, 6, seed=2))
    torch.testing.assert_close(direction, expected, rtol=1e-9, atol=1e-12)


def test_a_pair_whose_curvature_is_only_rounding_is_left_out() -> None:
    history, step = History(1, 10), torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    history.push(step, torch.tensor([[2.0, 1.0]], dtype=torch.float64))
    before = history.direction(torch.ones(1, 2, dtype=torch.float64))
    history.push(step, torch.tensor([[1e-9, 1.0]], dtype=torch.float64))
    assert torch.equal(history.direction(torch.ones(1, 2, dtype=torch.float64)), before)


def test_an_ill_conditioned_quadratic_is_minimised() -> None:
    weights = torch.logspace(0, 4, 20, dtype=torch.float64)
    curve = Curve(lambda x, c: 0.5 * (weights * (x - c).square()).sum(), drawn(2, 20))
    outcome = run(curve, drawn(2, 20, seed=1), iterations=400, tolerance=torch.full((2,), 1e-12))
    assert outcome.converged.all()
    assert not outcome.diverged.any()
    assert outcome.evaluations.max() < 200  # steepest descent would need tens of thousands
    torch.testing.assert_close(outcome.variables, curve.constants, rtol=0, atol=1e-5)


def test_a_lane_that_converged_leaves_and_the_others_go_on_unchanged() -> None:
    constants = drawn(3, 12)
    start = constants + drawn(3, 12, seed=1) * torch.tensor([[1.0], [1e-4], [0.3]])
    tolerance = torch.tensor([-1.0, 1e-7, -1.0])
    curve = Curve(bowl, constants)
    outcome = run(curve, start, tolerance=tolerance, iterations=15)
    assert outcome.converged.tolist() == [False, True, False]
    assert outcome.objective[1] <= 1e-7
    left = int(outcome.evaluations[1])
    assert 1 < left < 10
    assert outcome.evaluations.tolist() == [16, left, 16]
    assert [len(variables) for variables in curve.visited] == [3] * left + [2] * (16 - left)
    alone = run(Curve(bowl, constants[[0, 2]]), start[[0, 2]], iterations=15)
    torch.testing.assert_close(outcome.variables[[0, 2]], alone.variables, rtol=1e-9, atol=1e-12)
    assert bowl(outcome.variables[1], constants[1]) <= 1e-7


def test_every_lane_has_a_tolerance_of_its_own_whoever_left_before_it() -> None:
    tolerance = torch.tensor([1e-1, 1e-9, 1e-4])
    curve = Curve(bowl, drawn(1, 12).expand(3, 12))
    outcome = run(curve, curve.constants + 0.1 * drawn(1, 12, seed=1), iterations=200, tolerance=tolerance)
    assert outcome.converged.all()
    assert (outcome.objective <= tolerance).all()
    assert outcome.evaluations[0] < outcome.evaluations[2] < outcome.evaluations[1]


def test_what_a_lane_does_does_not_depend_on_the_others_nor_on_their_order() -> None:
    constants, start = drawn(4, 8), drawn(4, 8, seed=1)
    together = run(Curve(wells, constants), start, iterations=12)
    order = torch.tensor([3, 1, 0])
    fewer = run(Curve(wells, constants[order]), start[order], iterations=12)
    torch.testing.assert_close(fewer.variables, together.variables[order], rtol=1e-9, atol=1e-12)
    assert fewer.evaluations.tolist() == together.evaluations[order].tolist()


def test_a_lane_without_a_finite_value_returns_its_best_finite_iterate_and_the_others_go_on_unchanged() -> None:
    def steep(x: Tensor, c: Tensor) -> Tensor:
        return cliff(x, c) * (1 + x.square().sum())

    edges = torch.tensor([[-9.0] * 3, [0.25] * 3, [-9.0] * 3], dtype=torch.float64)
    start = torch.ones(3, 3, dtype=torch.float64) * torch.tensor([[1.0], [1.0], [2.0]])
    curve = Curve(steep, edges)
    outcome = run(curve, start, iterations=12)
    assert outcome.diverged.tolist() == [False, True, False]
    mine = torch.stack([v[1] for v in curve.visited[: outcome.evaluations[1]]])
    assert mine[-1, 0] < 0.25  # over the edge
    assert (mine[:-1, 0] >= 0.25).all()
    best = min(mine[:-1], key=lambda x: float(steep(x, edges[1])))
    assert torch.equal(outcome.variables[1], best)
    torch.testing.assert_close(outcome.objective[1], steep(best, edges[1]))
    alone = run(Curve(steep, edges[[0, 2]]), start[[0, 2]], iterations=12)
    torch.testing.assert_close(outcome.variables[[0, 2]], alone.variables, rtol=1e-9, atol=1e-12)


def test_a_lane_whose_first_value_is_not_finite_returns_its_start() -> None:
    start = torch.ones(2, 3, dtype=torch.float64)
    edges = torch.tensor([[5.0] * 3, [-9.0] * 3], dtype=torch.float64)
    outcome = run(Curve(cliff, edges), start)
    assert outcome.diverged.tolist() == [True, False]
    assert torch.equal(outcome.variables[0], start[0])
    assert outcome.objective[0] == math.inf
    assert outcome.evaluations[0] == 1


def test_the_best_iterate_is_returned_not_the_last() -> None:
    curve = Curve(wells, drawn(1, 6))
    outcome = run(curve, drawn(1, 6, seed=1), iterations=4, lr=2.5)
    values = torch.stack([wells(x, curve.constants[0]) for x in path(curve)])
    assert values[-1] > values.min()
    torch.testing.assert_close(outcome.objective[0], values.min())
    assert torch.equal(outcome.variables[0], path(curve)[values.argmin()])


def test_the_iterations_are_steps_and_every_iterate_is_evaluated() -> None:
    curve = Curve(bowl, drawn(2, 12))
    assert run(curve, drawn(2, 12, seed=1), iterations=6).evaluations.tolist() == [7, 7]
    assert len(curve.visited) == 7


def test_a_lane_at_a_stationary_point_comes_to_rest_unconverged() -> None:
    curve = Curve(lambda x, c: 1 + (x - c).square().sum(), drawn(2, 4))
    outcome = run(curve, curve.constants + torch.tensor([[0.0], [1.0]]), iterations=20)
    assert outcome.evaluations[0] == 2  # one step of length zero
    assert 2 < outcome.evaluations[1] < 10
    assert not outcome.converged.any()
    assert not outcome.diverged.any()


def test_a_lane_that_no_longer_moves_comes_to_rest() -> None:
    wall = torch.zeros(3, dtype=torch.float64)
    curve = Curve(lambda x, c: (x + 1).square().sum(), drawn(1, 3), lower=wall)
    outcome = run(curve, torch.ones(1, 3, dtype=torch.float64), iterations=50)
    assert torch.equal(outcome.variables[0], wall)
    assert outcome.evaluations < 10


def test_variables_stay_in_the_box() -> None:
    limit = torch.full((12,), 0.5, dtype=torch.float64)
    curve = Curve(bowl, drawn(2, 12) * 3, -limit, limit)
    start = drawn(2, 12, seed=1).clamp(-0.5, 0.5)
    outcome = run(curve, start, iterations=20)
    assert all(variables.abs().max() <= 0.5 for variables in curve.visited)
    free = Curve(bowl, curve.constants)
    run(free, start, iterations=20)
    assert any(variables.abs().max() > 0.5 for variables in free.visited)
    assert outcome.variables.abs().max() == 0.5


@pytest.mark.parametrize("patience", [3, 5])
def test_a_lane_rests_when_its_best_objective_falls_by_less_than_a_fifth_in_patience_steps(patience: int) -> None:
    def plateau(x: Tensor, c: Tensor) -> Tensor:
        return 1 + c[0] * bowl(x, torch.zeros_like(x))  # never below 1

    constants = torch.tensor([[1e-3] * 8, [1.0] * 8], dtype=torch.float64)
    start = drawn(1, 8, seed=1).expand(2, 8) * 2
    outcome = run(Curve(plateau, constants), start, patience=patience, iterations=60)
    assert not outcome.converged.any()
    assert outcome.evaluations[0] <= 2 * patience + 1  # 1e-3 of the value is all that can be won
    assert (outcome.evaluations[0] - 1) % patience == 0  # asked for every `patience` steps
    assert outcome.evaluations[1] > outcome.evaluations[0]


def test_a_lane_that_gets_on_is_never_out_of_patience() -> None:
    weights = torch.logspace(0, 4, 20, dtype=torch.float64)
    curve = Curve(lambda x, c: 0.5 * (weights * (x - c).square()).sum(), drawn(1, 20))
    start, tolerance = drawn(1, 20, seed=1), torch.full((1,), 1e-12, dtype=torch.float64)
    patient = run(curve, start, iterations=400, tolerance=tolerance)
    impatient = run(curve, start, iterations=400, tolerance=tolerance, patience=40)
    assert impatient.converged.all()
    assert impatient.evaluations.tolist() == patient.evaluations.tolist()


def test_reports_name_the_step_and_the_mean_objective_of_the_lanes_still_running() -> None:
    constants = torch.zeros(2, 3, dtype=torch.float64)
    start = torch.tensor([[0.0] * 3, [2.0] * 3], dtype=torch.float64)
    told: list[tuple[int, float]] = []
    lbfgs(
        Curve(lambda x, c: (x - c).square().sum(), constants),
        start,
        iterations=2,
        lr=1.0,
        memory=100,
        patience=100,
        tolerance=torch.zeros(2),
        report=lambda step, value: told.append((step, value)),
    )
    assert told[0] == (1, 12.0)
    assert [step for step, _ in told] == [1, 2]
