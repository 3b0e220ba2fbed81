"""Hand-made functions for the optimisers: what a problem offers them, without a network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from invbench.matching.problem import Evaluation

Function = Callable[[Tensor, Tensor], Tensor]
"""One lane's value from its variables `(D,)` and its constants `(D,)`."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Lanes of one function, each with constants of its own `(L, D)`; `visited` holds what was evaluated, in order.

    `penalty` stands for the regulariser: it is part of the total, not of the objective.
    """

    function: Function
    constants: Tensor
    lower: Tensor = field(default_factory=lambda: torch.tensor(-math.inf))
    upper: Tensor = field(default_factory=lambda: torch.tensor(math.inf))
    penalty: Function = lambda x, c: torch.zeros((), dtype=x.dtype)
    visited: list[Tensor] = field(default_factory=list)

    def only(self, lanes: Tensor) -> Curve:
        return dataclasses.replace(self, constants=self.constants[lanes])

    def evaluate(self, variables: Tensor) -> Evaluation:
        self.visited.append(variables.clone())
        x = variables.clone().requires_grad_()
        objectives = torch.stack([self.function(lane, c) for lane, c in zip(x, self.constants, strict=True)])
        penalties = torch.stack([self.penalty(lane, c) for lane, c in zip(x, self.constants, strict=True)])
        totals = objectives + penalties
        [gradient] = torch.autograd.grad(totals.sum(), x)
        return Evaluation(totals.detach(), objectives.detach(), gradient)


def bowl(x: Tensor, c: Tensor) -> Tensor:
    """Smooth and convex, badly enough scaled that 30 steps do not reach the bottom; least near x = c."""
    weights = torch.logspace(-1, 3, len(x), dtype=x.dtype)
    return (weights * torch.log(torch.cosh(x - c))).sum() + 0.05 * (x - c).roll(1) @ (x - c) + (x - c).square().sum()


def wells(x: Tensor, c: Tensor) -> Tensor:
    """Two wells a coordinate, at -1 and 1, and a hill of negative curvature between them; `c` tilts."""
    return (0.25 * (x.square() - 1).square() + 0.1 * c * x).sum() + 0.3 * (x[1:] * x[:-1]).sum()


def cliff(x: Tensor, c: Tensor) -> Tensor:
    """A parabola around -1 without a finite value where the first variable is below `c[0]`."""
    value = (x + 1).square().sum()
    return torch.where(x[0] < c[0], torch.nan, value)


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def silent(step: int, objective: float) -> None:
    """Nobody listens."""
