"""L-BFGS on many lanes, each with a history of its own (Nocedal and Wright, chapter 7.2).

Steps have length 1 and no line search, as DLG's authors run it: the first is scaled to `min(1, 1/|g|_1)`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from invbench.matching.outcome import Outcome, Report, Stop, at_start, last_evaluations, when_spent, why_stopped
from invbench.matching.problem import Problem

_CURVED = 1e-8  # smallest cosine between a step and its gradient change that is taken for curvature
_STILL = 1e-9  # largest change of a variable at which a lane no longer moves
_PROGRESS = 0.8  # a lane gets on while `patience` steps bring its objective below this share of what it was


class History:
    """The last `memory` pairs of every lane: steps and gradient changes `(memory, L, D)`, oldest first.

    A pair that a lane does not take is stored as zeros with rho 0, which leaves the recursion unchanged but for the
    place it takes up: PyTorch's own L-BFGS would go on remembering an older pair (`history.py` does). The results
    of `dlg` and `idlg` were computed like this.
    """

    def __init__(self, lanes: int, memory: int) -> None:
        self.memory = memory
        self.steps: list[Tensor] = []
        self.changes: list[Tensor] = []
        self.rho: list[Tensor] = []
        self.scale = torch.ones(lanes)

    def push(self, step: Tensor, change: Tensor) -> None:
        """Take the pair where its curvature is positive."""
        curvature, size = (step * change).sum(dim=1), change.square().sum(dim=1)
        taken = curvature > _CURVED * (step.square().sum(dim=1) * size).sqrt()
        self.scale = torch.where(taken, curvature / torch.where(taken, size, 1.0), self.scale.to(size.device))
        self.steps.append(step * taken[:, None])
        self.changes.append(change * taken[:, None])
        self.rho.append(torch.where(taken, 1 / torch.where(taken, curvature, 1.0), 0.0))
        if len(self.steps) > self.memory:
            for series in (self.steps, self.changes, self.rho):
                del series[0]

    def direction(self, gradient: Tensor) -> Tensor:
        """The quasi-Newton direction `-H g` `(L, D)` by the two-loop recursion."""
        q, weights = -gradient, []
        for s, y, rho in zip(reversed(self.steps), reversed(self.changes), reversed(self.rho), strict=True):
            weight = rho * (s * q).sum(dim=1)
            q = q - weight[:, None] * y
            weights.append(weight)
        q = q * self.scale.to(q.device)[:, None]
        for s, y, rho, weight in zip(self.steps, self.changes, self.rho, reversed(weights), strict=True):
            q = q + (weight - rho * (y * q).sum(dim=1))[:, None] * s
        return q

    def keep(self, lanes: Tensor) -> None:
        """Drop the lanes that left."""
        self.scale = self.scale.to(lanes.device)[lanes]
        self.steps, self.changes = [s[lanes] for s in self.steps], [c[lanes] for c in self.changes]
        self.rho = [r[lanes] for r in self.rho]


def lbfgs(
    problem: Problem,
    start: Tensor,
    *,
    iterations: int,
    lr: float,
    memory: int,
    patience: int,
    tolerance: Tensor,
    report: Report,
) -> Outcome:
    """Minimise every lane from `start` `(L, D)`; a lane leaves when it converged, diverged or came to rest.

    Converged: its objective is at most its `tolerance` `(L,)`. Diverged: its value is no longer finite. At
    rest: no variable moved by more than 1e-9, or its best objective fell by less than a fifth in the last
    `patience` steps, the first window being twice as long. Only the first step, which is never longer than the
    bare gradient, knows the objective's scale: where that gradient is below 1e-9 a lane rests at once. Every lane
    returns its best finite iterate by its own objective, else its start.
    """
    lanes = torch.arange(len(start), device=start.device)  # those still running, by their place in `start`
    end = at_start(start)
    variables, before, step = start.clone(), None, torch.zeros_like(start)
    history = History(len(start), memory)
    milestone = late = end.objective.clone()  # best objectives when patience was last asked for, and near the end
    for iteration in range(iterations + 1):
        at = problem.evaluate(variables)
        end.evaluations[lanes.cpu()] += 1
        finite = torch.isfinite(at.total) & torch.isfinite(at.gradient).all(dim=1)
        better = finite & (at.objective < end.objective[lanes])
        end.variables[lanes[better]], end.objective[lanes[better]] = variables[better], at.objective[better]
        converged = finite & (at.objective <= tolerance)
        resting = step.abs().amax(dim=1) <= _STILL if before is not None else torch.zeros_like(finite)
        if iteration and iteration % patience == 0:
            resting |= end.objective[lanes] > _PROGRESS * milestone[lanes]
            milestone = end.objective.clone()
        if iteration == iterations - last_evaluations(iterations):
            late = end.objective.clone()
        end.stopped[lanes] = why = why_stopped(
            (~finite, Stop.DIVERGED),
            (converged, Stop.CONVERGED),
            (resting, Stop.AT_REST),
            (torch.full_like(finite, iteration == iterations), when_spent(end.objective[lanes], late[lanes])),
        )
        going = torch.nonzero(why == Stop.RUNNING).flatten()
        if not len(going):
            break
        report(iteration + 1, float(at.objective[going].mean()))
        if before is not None:
            history.push(step, at.gradient - before)
        if len(going) < len(lanes):
            history.keep(going)
            problem, lanes, tolerance = problem.only(going), lanes[going], tolerance[going]
        before = at.gradient[going]
        direction = history.direction(before)
        length = lr if history.steps else lr * (1 / before.abs().sum(dim=1)).clamp(max=1)[:, None]
        moved = (variables[going] + length * direction).clamp(problem.lower, problem.upper)
        step, variables = moved - variables[going], moved
    return end
