"""What an optimiser of many lanes gives back: where each lane ended, and why it stopped there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import torch
from torch import Tensor

Report = Callable[[int, float], None]
"""Told after every step: its number, and the mean objective of the lanes that still run."""

_FALLING = 0.99  # of what it was: a least value below that has fallen by more than a hundredth


class Stop(IntEnum):
    """Why a lane stopped.

    CONVERGED: its objective reached the tolerance asked for. AT_REST: nothing moved any more, or its least value had
    all but ceased to fall; where the step size decays by a schedule that says nothing of a longer run. BUDGET_SPENT:
    its least value still fell by more than a hundredth in the last evaluations, so more of them would help. DIVERGED:
    a value or a slope was not finite.
    """

    RUNNING = 0
    CONVERGED = 1
    AT_REST = 2
    BUDGET_SPENT = 3
    DIVERGED = 4

    @property
    def words(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Outcome:
    """Where lanes ended: variables `(L, D)`; objective, evaluations and why they stopped (`Stop`), each `(L,)`."""

    variables: Tensor
    objective: Tensor
    evaluations: Tensor  # on the CPU
    stopped: Tensor  # uint8

    @property
    def diverged(self) -> Tensor:
        return self.stopped == Stop.DIVERGED

    @property
    def converged(self) -> Tensor:
        return self.stopped == Stop.CONVERGED

    def judged(self, tolerance: Tensor) -> Outcome:
        """The same where a lane whose objective is at most its `tolerance` `(L,)` has converged, however it ended."""
        return replace(self, stopped=torch.where(self.objective <= tolerance, Stop.CONVERGED, self.stopped))


def at_start(start: Tensor) -> Outcome:
    """Lanes at `start` `(L, D)`, none of them evaluated yet."""
    return Outcome(
        variables=start.clone(),
        objective=torch.full_like(start[:, 0], torch.inf),
        evaluations=torch.zeros(len(start), dtype=torch.int64),
        stopped=torch.full_like(start[:, 0], Stop.RUNNING, dtype=torch.uint8),
    )


def why_stopped(*reasons: tuple[Tensor, Stop | Tensor]) -> Tensor:
    """Each lane's first reason that holds, RUNNING where none does: pairs of who `(L,)` and why (one, or `(L,)`)."""
    stopped = torch.full_like(reasons[0][0], Stop.RUNNING, dtype=torch.uint8)
    for holds, why in reversed(reasons):
        stopped = torch.where(holds, why, stopped)
    return stopped


def last_evaluations(iterations: int) -> int:
    """How many evaluations at the end of a budget tell whether a lane still falls: a tenth of it, at least ten."""
    return max(1, min(iterations, max(10, iterations // 10)))


def when_spent(least: Tensor, before: Tensor) -> Tensor:
    """Why lanes stopped whose budget is spent: from their least values `(L,)` and those of `last_evaluations` ago."""
    falling = least < _FALLING * before
    return torch.where(falling, Stop.BUDGET_SPENT, Stop.AT_REST).to(torch.uint8)


def counted(stopped: Sequence[Stop]) -> dict[str, int]:
    """How many lanes stopped for each reason, in words and in the order of `Stop`."""
    return {why.words: stopped.count(why) for why in Stop if why in stopped}
