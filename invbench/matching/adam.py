"""Adam on many lanes (Kingma and Ba 2015), on the gradient or on its sign, with a decaying step and a box."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from invbench.matching.outcome import Outcome, Report, Stop, at_start, last_evaluations, when_spent, why_stopped
from invbench.matching.problem import Evaluation, Problem

Pull = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
"""From a step, the variables `(l, D)` of lanes that still run and their numbers `(l,)`: the slopes `(l, D)` and values
`(l,)` of what draws lanes to each other, which no lane's own function knows."""
Jitter = Callable[[int, Tensor], Tensor]
"""From a step and the numbers `(l,)` of lanes that still run: what is added to their variables `(l, D)`, in steps."""
Confine = Callable[[Tensor, Tensor], Tensor]
"""From the variables `(l, D)` after a step and the numbers `(l,)` of their lanes: the nearest that these may have."""

_WARM = 50  # steps for which a warm schedule rises, a tenth of the iterations at most
_PROGRESS = 0.99  # a lane rests unless `plateau` steps bring its least value below this share of what it was


def adam(
    problem: Problem,
    start: Tensor,
    *,
    iterations: int,
    lr: float,
    signed: bool,
    schedule: str,
    report: Report,
    tolerance: Tensor | None = None,
    plateau: int = 0,
    pull: Pull | None = None,
    jitter: Jitter | None = None,
    confine: Confine | None = None,
) -> Outcome:
    """Minimise every lane from `start` `(L, D)` and return its last iterate.

    `signed` feeds Adam the gradient's sign. `schedule`: see `step_size`. A lane leaves when its value is no longer
    finite (diverged: it returns its best finite iterate, or its start), when its objective is at most its
    `tolerance` `(L,)` (converged), and where `plateau` is not 0 when so many steps lowered its least value by less
    than a hundredth (at rest: it returns the iterate of that value). `Stop` says what becomes of the others. `pull` is
    part of what is minimised, and not of the objective; `jitter` is added after each step, times its size; `confine` is
    the last of a step.
    """
    end, lanes = at_start(start), torch.arange(len(start), device=start.device)
    variables, best_value = start.clone(), torch.full_like(start[:, 0], torch.inf)
    milestone, late = best_value.clone(), best_value.clone()  # least values when `plateau`, and the last part, began
    first, second = torch.zeros_like(start), torch.zeros_like(start)
    for step in range(1, iterations + 2):
        at = problem.evaluate(variables)
        if pull is not None:
            slope, value = pull(step, variables, lanes)
            at = Evaluation(at.total + value, at.objective, at.gradient + slope)
        end.evaluations[lanes.cpu()] += 1
        finite = torch.isfinite(at.total) & torch.isfinite(at.gradient).all(dim=1)
        converged = finite & (at.objective <= tolerance[lanes]) if tolerance is not None else torch.zeros_like(finite)
        spent = torch.full_like(finite, step > iterations)
        better = finite & (at.total < best_value[lanes])
        best_value[lanes[better]] = at.total[better]
        kept = better | converged | (finite & spent)
        end.variables[lanes[kept]], end.objective[lanes[kept]] = variables[kept], at.objective[kept]
        resting = torch.zeros_like(finite)
        if plateau and step % plateau == 1 % plateau:
            resting = best_value[lanes] > _PROGRESS * milestone[lanes]
            milestone = best_value.clone()
        if step == iterations + 1 - last_evaluations(iterations):
            late = best_value.clone()
        end.stopped[lanes] = why = why_stopped(
            (~finite, Stop.DIVERGED),
            (converged, Stop.CONVERGED),
            (spent, when_spent(best_value[lanes], late[lanes])),
            (resting, Stop.AT_REST),
        )
        going = torch.nonzero(why == Stop.RUNNING).flatten()
        if not len(going):
            break
        slope = at.gradient.sign() if signed else at.gradient
        if len(going) < len(lanes):
            problem, lanes = problem.only(going), lanes[going]
            variables, slope, first, second = (t[going] for t in (variables, slope, first, second))
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope.square()
        mean, spread = first / (1 - 0.9**step), (second / (1 - 0.999**step)).sqrt()
        size = lr * step_size(schedule, step, iterations)
        variables = variables - size * mean / (spread + 1e-8)
        if jitter is not None:
            variables = variables + size * jitter(step, lanes)
        variables = variables.clamp(problem.lower, problem.upper)
        if confine is not None:
            variables = confine(variables, lanes)
        report(step, float(at.total[going].mean()))
    return end


def step_size(schedule: str, step: int, iterations: int) -> float:
    """The share of `lr` at a step, counted from 1.

    `step`: times 0.1 after 3/8, 5/8 and 7/8 of the iterations (Geiping et al. 2020, appendix); `cosine`: half a
    wave down to zero (Loshchilov and Hutter 2017, arXiv 1608.03983); `warm-cosine`: the same after a straight line up
    to 1 over the first 50 steps, or a tenth of them where that is less; `none`: 1.
    """
    if schedule == "step":
        milestones = [int(iterations * share) for share in (3 / 8, 5 / 8, 7 / 8)]
        return float(0.1 ** sum(step > milestone for milestone in milestones))
    if schedule == "warm-cosine":
        warm = min(_WARM, iterations // 10)
        return step / warm if step <= warm else step_size("cosine", step - warm, iterations - warm)
    return (1 + math.cos(math.pi * (step - 1) / iterations)) / 2 if schedule == "cosine" else 1.0
