"""Adam of many lanes: torch's own, lane by lane and step by step, and what becomes of a lane that diverges."""

from __future__ import annotations

import math

import pytest
import torch
from curves import Curve, bowl, cliff, drawn, silent, wells
from torch import Tensor

from invbench.matching.adam import adam, step_size
from invbench.matching.outcome import Outcome


def torch_adam(
    curve: Curve, lane: int, start: Tensor, *, iterations: int, lr: float, signed: bool, decay: bool
) -> list[Tensor]:
    """Every iterate of torch's Adam and step schedule as Geiping et al. use them, the last included."""
    x, constants = start[lane].clone().requires_grad_(), curve.constants[lane]
    optimizer = torch.optim.Adam([x], lr=lr)
    milestones = [int(iterations * share) for share in (0.375, 0.625, 0.875)] if decay else []
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=0.1)
    iterates = [x.detach().clone()]
    for _ in range(iterations):
        optimizer.zero_grad()
        (curve.function(x, constants) + curve.penalty(x, constants)).backward()
        if signed:
            x.grad.sign_()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            x.clamp_(curve.lower, curve.upper)
        iterates.append(x.detach().clone())
    return iterates


def run(
    curve: Curve, start: Tensor, *, iterations: int = 20, lr: float = 0.1, signed: bool = False, decay: bool = False
) -> Outcome:
    schedule = "step" if decay else "none"
    return adam(curve, start, iterations=iterations, lr=lr, signed=signed, schedule=schedule, report=silent)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("decay", [True, False])
@pytest.mark.parametrize("box", [math.inf, 0.5])
def test_every_lane_visits_what_torchs_adam_visits(signed: bool, decay: bool, box: float) -> None:
    limit = torch.full((6,), box, dtype=torch.float64)
    curve = Curve(bowl, drawn(3, 6), -limit, limit, penalty=lambda x, c: 0.3 * x.abs().sum())
    start = drawn(3, 6, seed=1)
    outcome = run(curve, start, iterations=24, signed=signed, decay=decay)
    for lane in range(3):
        theirs = torch_adam(curve, lane, start, iterations=24, lr=0.1, signed=signed, decay=decay)
        ours = torch.stack([variables[lane] for variables in curve.visited])
        torch.testing.assert_close(ours, torch.stack(theirs), rtol=1e-9, atol=1e-12)
        assert torch.equal(outcome.variables[lane], ours[-1])


@pytest.mark.parametrize("iterations", [1, 2, 3, 7, 8, 25])
def test_the_schedule_is_torchs_for_any_number_of_iterations(iterations: int) -> None:
    curve, start = Curve(bowl, drawn(1, 4)), drawn(1, 4, seed=1)
    outcome = run(curve, start, iterations=iterations, signed=True, decay=True)
    theirs = torch_adam(curve, 0, start, iterations=iterations, lr=0.1, signed=True, decay=True)
    torch.testing.assert_close(outcome.variables[0], theirs[-1], rtol=1e-9, atol=1e-12)


def test_the_last_iterate_is_returned_with_its_objective_even_where_an_earlier_one_was_better() -> None:
    curve = Curve(bowl, drawn(2, 4), penalty=lambda x, c: x.square().sum())
    outcome = run(curve, drawn(2, 4, seed=1), iterations=8, lr=3.0, signed=True)
    values = torch.stack([torch.vmap(bowl)(variables, curve.constants) for variables in curve.visited])
    assert (values[-1] > values.min(dim=0).values).all()
    torch.testing.assert_close(outcome.objective, values[-1])
    assert not outcome.diverged.any()
    assert not outcome.converged.any()


def test_an_evaluation_is_counted_at_every_iterate() -> None:
    curve = Curve(bowl, drawn(2, 4))
    assert run(curve, drawn(2, 4, seed=1), iterations=7).evaluations.tolist() == [8, 8]
    assert len(curve.visited) == 8


def test_what_a_lane_does_does_not_depend_on_the_others() -> None:
    constants, start = drawn(4, 5), drawn(4, 5, seed=1)
    together = run(Curve(wells, constants), start, signed=True, decay=True)
    order = torch.tensor([2, 0, 3])
    fewer = run(Curve(wells, constants[order]), start[order], signed=True, decay=True)
    torch.testing.assert_close(fewer.variables, together.variables[order], rtol=0, atol=1e-12)
    torch.testing.assert_close(fewer.objective, together.objective[order], rtol=0, atol=1e-12)


def test_a_lane_without_a_finite_value_returns_its_best_finite_iterate_and_the_others_go_on_unchanged() -> None:
    edges = torch.tensor([[-9.0] * 3, [0.25] * 3, [-9.0] * 3], dtype=torch.float64)
    start = torch.ones(3, 3, dtype=torch.float64) * torch.tensor([[1.0], [1.0], [2.0]])
    curve = Curve(cliff, edges)
    outcome = run(curve, start, iterations=20)
    assert outcome.diverged.tolist() == [False, True, False]
    path = torch.stack([variables[1] for variables in curve.visited[: outcome.evaluations[1]]])
    last_finite = path[path[:, 0] >= 0.25][-1]  # all the way down to the edge each iterate is better than the last
    assert 0.25 <= last_finite[0] < 0.4
    assert torch.equal(outcome.variables[1], last_finite)
    torch.testing.assert_close(outcome.objective[1], cliff(last_finite, edges[1]))
    assert path[-1, 0] < 0.25  # over the edge
    assert outcome.evaluations[[0, 2]].tolist() == [21, 21]
    assert [len(variables) for variables in curve.visited] == [3] * len(path) + [2] * (21 - len(path))
    alone = run(Curve(cliff, edges[[0, 2]]), start[[0, 2]], iterations=20)
    torch.testing.assert_close(outcome.variables[[0, 2]], alone.variables, rtol=0, atol=1e-12)


def test_a_value_that_is_not_finite_only_at_the_very_last_iterate_is_found() -> None:
    start, edge = torch.ones(1, 3, dtype=torch.float64), torch.full((1, 3), 0.25, dtype=torch.float64)
    steps = run(Curve(cliff, edge), start, iterations=20).evaluations.item() - 1  # the step that goes over the edge
    outcome = run(Curve(cliff, edge), start, iterations=int(steps))
    assert outcome.diverged.item()
    assert outcome.variables[0, 0] >= 0.25
    assert torch.isfinite(outcome.objective).all()
    assert not run(Curve(cliff, edge), start, iterations=int(steps) - 1).diverged.item()


def test_a_slope_that_is_not_finite_is_divergence_too() -> None:
    def vertical(x: Tensor, c: Tensor) -> Tensor:
        return x.square().sum() + (x * 0).sqrt().sum()

    curve, start = Curve(vertical, drawn(1, 3)), torch.ones(1, 3, dtype=torch.float64)
    assert torch.isfinite(curve.evaluate(start).total).all()
    outcome = run(curve, start)
    assert outcome.diverged.item()
    assert outcome.evaluations.item() == 1
    assert torch.equal(outcome.variables, start)


def test_a_lane_that_has_no_finite_value_at_all_returns_its_start_and_none_is_left_to_evaluate() -> None:
    start = drawn(2, 3, seed=1)
    curve = Curve(lambda x, c: x.sum() * math.nan, drawn(2, 3))
    outcome = run(curve, start)
    assert torch.equal(outcome.variables, start)
    assert outcome.diverged.all()
    assert outcome.objective.tolist() == [math.inf, math.inf]
    assert outcome.evaluations.tolist() == [1, 1]
    assert len(curve.visited) == 1


def test_reports_name_the_step_and_the_mean_of_the_lanes_that_have_not_diverged() -> None:
    edges = torch.tensor([[-9.0] * 3, [5.0] * 3], dtype=torch.float64)
    told: list[tuple[int, float]] = []
    adam(
        Curve(cliff, edges),
        torch.ones(2, 3, dtype=torch.float64),
        iterations=3,
        lr=0.5,
        signed=True,
        schedule="none",
        report=lambda step, value: told.append((step, value)),
    )
    assert [step for step, _ in told] == [1, 2, 3]
    assert [value for _, value in told] == pytest.approx([3 * 2.0**2, 3 * 1.5**2, 3 * 1.0**2], rel=1e-6)


@pytest.mark.parametrize("iterations", [1, 2, 7])
def test_the_cosine_schedule_is_torchs(iterations: int) -> None:
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
    for step in range(1, iterations + 1):
        assert 2.0 * step_size("cosine", step, iterations) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        schedule.step()


def test_a_lane_that_converged_leaves_with_the_point_that_did_and_the_others_go_on_unchanged() -> None:
    constants, start = drawn(3, 5), drawn(3, 5) + torch.tensor([[3.0], [0.3], [3.0]])
    curve = Curve(bowl, constants)
    tolerance = torch.tensor([-1.0, 30.0, -1.0])
    outcome = adam(
        curve, start, iterations=15, lr=0.05, signed=True, schedule="step", report=silent, tolerance=tolerance
    )
    left = int(outcome.evaluations[1])
    assert outcome.converged.tolist() == [False, True, False]
    assert 1 < left < 16
    assert bowl(outcome.variables[1], constants[1]) == outcome.objective[1] <= 30.0
    assert [len(variables) for variables in curve.visited] == [3] * left + [2] * (16 - left)
    chosen = [0, 2]
    alone = run(Curve(bowl, constants[chosen]), start[chosen], iterations=15, lr=0.05, signed=True, decay=True)
    torch.testing.assert_close(outcome.variables[chosen], alone.variables, rtol=0, atol=1e-12)


def test_a_lane_on_a_plateau_leaves_with_its_best_point_and_one_that_gets_on_stays() -> None:
    def flat(x: Tensor, c: Tensor) -> Tensor:
        return 1 + c[0] * x.square().sum()

    constants = torch.tensor([[1e-4] * 3, [1.0] * 3], dtype=torch.float64)
    curve = Curve(flat, constants)
    start = torch.ones(2, 3, dtype=torch.float64)
    settings = {"iterations": 20, "lr": 0.04, "signed": True, "schedule": "none", "report": silent}
    outcome = adam(curve, start, plateau=5, **settings)  # type: ignore[arg-type]
    assert outcome.evaluations.tolist() == [6, 21]
    assert not outcome.converged.any()
    visited = torch.stack([variables[0] for variables in curve.visited[:6]])
    best = min(visited, key=lambda x: float(flat(x, constants[0])))
    assert torch.equal(outcome.variables[0], best)
    assert adam(curve, start, **settings).evaluations.tolist() == [21, 21]  # type: ignore[arg-type]


def test_a_pull_is_part_of_what_is_minimised_and_not_of_the_objective() -> None:
    """Lanes at a bowl each that are drawn to each other meet where torch's Adam of the sum goes."""
    curve, start = Curve(bowl, drawn(2, 4)), drawn(2, 4, seed=1)

    def pull(step: int, variables: Tensor, lanes: Tensor) -> tuple[Tensor, Tensor]:
        away = variables - variables.mean(dim=0)
        return 2 * away, away.square().sum(dim=1)

    common = {"iterations": 20, "lr": 0.1, "signed": False, "schedule": "none", "report": silent}
    outcome = adam(curve, start, pull=pull, **common)
    theirs = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([theirs], lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        values = torch.stack([bowl(x, c) for x, c in zip(theirs, curve.constants, strict=True)]).sum()
        (values + (theirs - theirs.mean(dim=0).detach()).square().sum()).backward()
        optimizer.step()
    torch.testing.assert_close(outcome.variables, theirs.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(outcome.objective[0], bowl(outcome.variables[0], curve.constants[0]))


def test_jitter_is_added_after_a_step_times_its_size_and_stays_in_the_box() -> None:
    limit = torch.full((4,), 0.5, dtype=torch.float64)
    flat = Curve(lambda x, c: 0 * x.sum(), drawn(2, 4), -limit, limit)
    moved = torch.tensor([[1.0, -1.0, 0.0, 100.0]] * 2, dtype=torch.float64)
    start = torch.zeros(2, 4, dtype=torch.float64)
    common = {"iterations": 2, "lr": 0.1, "signed": False, "schedule": "none", "report": silent}
    outcome = adam(flat, start, jitter=lambda step, lanes: moved[lanes], **common)
    torch.testing.assert_close(outcome.variables[0], torch.tensor([0.2, -0.2, 0.0, 0.5], dtype=torch.float64))


def test_a_warm_schedule_rises_and_then_is_the_cosine_of_what_is_left() -> None:
    assert [step_size("warm-cosine", step, 2000) for step in (1, 25, 50, 51)] == [0.02, 0.5, 1.0, 1.0]
    assert step_size("warm-cosine", 1050, 2050) == pytest.approx(step_size("cosine", 1000, 2000))
    assert step_size("warm-cosine", 2000, 2000) == pytest.approx(step_size("cosine", 1950, 1950))
    assert [step_size("warm-cosine", step, 3) for step in (1, 2, 3)] == [step_size("cosine", s, 3) for s in (1, 2, 3)]
