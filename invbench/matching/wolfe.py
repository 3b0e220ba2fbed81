"""L-BFGS of many lanes with a line search each: the bracketing of Lewis and Overton (2013, algorithm 2.6).

A step length is too long where the value has not fallen enough (Armijo), too short where the slope is still steep
(weak Wolfe); the bracket between the two is halved, or its quadratic's least point taken. That needs no smoothness,
so total variation and ReLU do not stop it. All lanes are evaluated together, each at its own length in its own search.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from invbench.matching.history import Ring
from invbench.matching.outcome import Outcome, Report, Stop, at_start, last_evaluations, when_spent, why_stopped
from invbench.matching.problem import Evaluation, Problem

_FALLS, _FLATTENS = 1e-4, 0.9  # Nocedal and Wright, section 3.1: c1, c2
_TRIES = 20  # lengths tried in one search
_FIRST = 0.1  # the largest change of a variable in a first step: it knows no scale of the objective
_STILL = 1e-9  # largest change of a variable at which a lane no longer moves
_PROGRESS = 0.8  # a lane gets on while `patience` evaluations bring its value below this share of what it was


@dataclass
class _Search:
    """Every lane's search from `base` along `direction`; `length` is on trial, `low` and `high` are its bracket."""

    base: Tensor  # (L, D)
    value: Tensor  # (L,) at base, as are objective and gradient
    objective: Tensor
    gradient: Tensor  # (L, D)
    direction: Tensor  # (L, D)
    length: Tensor  # (L,)
    low: Tensor
    high: Tensor
    tries: Tensor

    def keep(self, lanes: Tensor) -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[lanes])


def lbfgs_wolfe(
    problem: Problem,
    start: Tensor,
    *,
    iterations: int,
    memory: int,
    patience: int,
    tolerance: Tensor,
    report: Report,
) -> Outcome:
    """Minimise every lane from `start` `(L, D)` with `iterations + 1` evaluations at most, those of searches included.

    A lane leaves when it converged (its objective is at most its `tolerance` `(L,)`), diverged (no finite value at
    its start) or came to rest: no length along the steepest descent helps, a step moved nothing by more than 1e-9,
    or `patience` evaluations lowered its value by less than a fifth. It returns the last point that a search took.
    """
    end, lanes = at_start(start), torch.arange(len(start), device=start.device)
    at = problem.evaluate(start)
    end.evaluations[:] = 1
    finite = torch.isfinite(at.total) & torch.isfinite(at.gradient).all(dim=1)
    end.objective[finite] = at.objective[finite]
    end.stopped[:] = why_stopped((~finite, Stop.DIVERGED), (at.objective <= tolerance, Stop.CONVERGED))
    search, ring = _first_search(start, at, problem), Ring(start, memory)
    milestone = late = at.total.clone()  # values when patience was last asked for, and near the end of the budget
    going = torch.nonzero(end.stopped == Stop.RUNNING).flatten()
    for iteration in range(1, iterations + 1):
        if not len(going):
            break
        if len(going) < len(lanes):
            problem, lanes = problem.only(going), lanes[going]
            tolerance, milestone, late = tolerance[going], milestone[going], late[going]
            search.keep(going)
            ring.keep(going)
        trial = (search.base + search.length[:, None] * search.direction).clamp(problem.lower, problem.upper)
        at = problem.evaluate(trial)
        end.evaluations[lanes.cpu()] += 1
        taken, resting = _judge(search, ring, trial, at, problem)
        end.variables[lanes], end.objective[lanes] = search.base, search.objective
        converged = taken & (search.objective <= tolerance)
        if iteration % patience == 0:
            resting |= search.value > _PROGRESS * milestone
            milestone = search.value.clone()
        if iteration == iterations - last_evaluations(iterations):
            late = search.value.clone()
        spent = torch.full_like(resting, iteration == iterations)
        end.stopped[lanes] = why = why_stopped(
            (converged, Stop.CONVERGED), (resting, Stop.AT_REST), (spent, when_spent(search.value, late))
        )
        report(iteration, float(search.objective.mean()))
        going = torch.nonzero(why == Stop.RUNNING).flatten()
    return end


def _judge(search: _Search, ring: Ring, trial: Tensor, at: Evaluation, problem: Problem) -> tuple[Tensor, Tensor]:
    """Take each lane's trial point and start a new search, or narrow its bracket: which took it, which rest."""
    moved = trial - search.base
    slope = (search.gradient * moved).sum(dim=1)  # times the length, as is `after`: the box may have bent the line
    after = (at.gradient * moved).sum(dim=1)
    finite = torch.isfinite(at.total) & torch.isfinite(at.gradient).all(dim=1)
    falls = finite & (slope < 0) & (at.total <= search.value + _FALLS * slope)
    search.tries += 1
    spent = search.tries >= _TRIES
    taken = falls & ((after >= _FLATTENS * slope) | spent)
    still = moved.abs().amax(dim=1) <= _STILL
    failed = ~taken & (spent | still)
    resting = (taken & still) | (failed & (ring.count == 0))

    search.high = torch.where(falls, search.high, search.length)
    search.low = torch.where(falls, search.length, search.low)
    search.length = _next_length(search, slope, at.total, falls)
    if (taken | failed).any():
        ring.push(moved, at.gradient - search.gradient, taken)
        ring.forget(failed)
        chosen = taken[:, None]
        search.base = torch.where(chosen, trial, search.base)
        search.gradient = torch.where(chosen, at.gradient, search.gradient)
        search.value = torch.where(taken, at.total, search.value)
        search.objective = torch.where(taken, at.objective, search.objective)
        _start_searches(search, ring, taken | failed, problem)
    return taken, resting


def _next_length(search: _Search, slope: Tensor, value: Tensor, falls: Tensor) -> Tensor:
    """Twice as long until there is a bracket; inside it the quadratic's least point after a fall too small."""
    middle = (search.low + search.high) / 2
    lack = value - search.value - slope  # positive where the line curves upwards
    least = search.length * (-slope / (2 * lack).clamp_min(torch.finfo(value.dtype).tiny))
    width = search.high - search.low
    inside = torch.minimum(torch.maximum(least, search.low + 0.1 * width), search.low + 0.9 * width)
    quadratic = ~falls & (search.low == 0) & torch.isfinite(least)
    return torch.where(torch.isinf(search.high), 2 * search.length, torch.where(quadratic, inside, middle))


def _first_search(start: Tensor, at: Evaluation, problem: Problem) -> _Search:
    zero = torch.zeros_like(at.total)
    search = _Search(start, at.total, at.objective, at.gradient, -at.gradient, zero, zero, zero, zero)
    _start_searches(search, Ring(start, 1), torch.ones_like(zero, dtype=torch.bool), problem)
    return search


def _start_searches(search: _Search, ring: Ring, lanes: Tensor, problem: Problem) -> None:
    """A new direction for the lanes `(L,)` marked. What the box would stop at once stays out of it."""
    blocked = ((search.base <= problem.lower) & (search.gradient > 0)) | (
        (search.base >= problem.upper) & (search.gradient < 0)
    )
    gradient = search.gradient.masked_fill(blocked, 0.0)
    direction = ring.direction(gradient).masked_fill(blocked, 0.0)
    uphill = (direction * gradient).sum(dim=1) >= 0
    ring.forget(lanes & uphill)
    direction = torch.where(uphill[:, None], -gradient, direction)
    steepest = _FIRST / direction.abs().amax(dim=1).clamp_min(torch.finfo(direction.dtype).tiny)
    length = torch.where(ring.count == 0, steepest, 1.0)
    search.direction = torch.where(lanes[:, None], direction, search.direction)
    search.length = torch.where(lanes, length, search.length)
    search.low = torch.where(lanes, 0.0, search.low)
    search.high = torch.where(lanes, torch.inf, search.high)
    search.tries = torch.where(lanes, 0, search.tries)
