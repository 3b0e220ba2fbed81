"""Adam on many lanes (Kingma and Ba 2015), on the gradient or on its sign, with step decay and a box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.matching.problem import Problem


@dataclass(frozen=True)
class Outcome:
    """Where lanes ended: variables `(L, D)`; objective, evaluations, diverged and converged, each `(L,)`."""

    variables: Tensor
    objective: Tensor
    evaluations: Tensor
    diverged: Tensor
    converged: Tensor


def adam(
    problem: Problem,
    start: Tensor,
    *,
    iterations: int,
    lr: float,
    signed: bool,
    decay: bool,
    report: Callable[[int, float], None],
) -> Outcome:
    """Minimise every lane from `start` `(L, D)` and return its last iterate.

    `signed` feeds Adam the gradient's sign; `decay` multiplies the step by 0.1 after 3/8, 5/8 and 7/8 of
    the iterations (Geiping et al. 2020, appendix). A lane whose value is no longer finite has diverged and
    returns its best finite iterate, or its start.
    """
    variables, best, best_value = start.clone(), start.clone(), torch.full_like(start[:, 0], torch.inf)
    best_objective = best_value.clone()
    first, second = torch.zeros_like(start), torch.zeros_like(start)
    diverged = torch.zeros(len(start), dtype=torch.bool, device=start.device)
    evaluations = torch.zeros(len(start), dtype=torch.int64)
    milestones = [int(iterations * share) for share in (3 / 8, 5 / 8, 7 / 8)] if decay else []
    for step in range(1, iterations + 2):
        at = problem.evaluate(variables)
        evaluations += ~diverged.cpu()
        diverged |= ~(torch.isfinite(at.total) & torch.isfinite(at.gradient).all(dim=1))
        better = (at.total < best_value) & ~diverged
        best, best_value = torch.where(better[:, None], variables, best), torch.where(better, at.total, best_value)
        best_objective = torch.where(better, at.objective, best_objective)
        if step > iterations or diverged.all():
            break
        slope = at.gradient.sign() if signed else at.gradient
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope.square()
        size = lr * 0.1 ** sum(step > milestone for milestone in milestones)
        mean, spread = first / (1 - 0.9**step), (second / (1 - 0.999**step)).sqrt()
        moved = (variables - size * mean / (spread + 1e-8)).clamp(problem.lower, problem.upper)
        variables = torch.where(diverged[:, None], best, moved)
        first, second = (torch.where(diverged[:, None], 0.0, m) for m in (first, second))
        report(step, float(at.total[~diverged].mean()))
    return Outcome(
        variables=torch.where(diverged[:, None], best, variables),
        objective=torch.where(diverged, best_objective, at.objective),
        evaluations=evaluations,
        diverged=diverged,
        converged=torch.zeros_like(diverged),
    )
