"""Rounded confidences (Fredrikson et al. 2015, CCS, 10.1145/2810103.2813677, section 6: countermeasures)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from invbench.defenses import Context, Defense
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class Round(Defense):
    """Answer every confidence as the nearest multiple of `step`; they need not add up to 1 any more.

    The paper tries steps of 0.001 to 0.05 against the gradient-free attack.
    """

    step: float = parameter(0.05, above=0, at_most=1, help="distance of two confidences that can be answered")

    def answer(self, scores: Tensor, context: Context) -> Tensor:
        return (scores / self.step).round() * self.step
