"""Stage `answer`: rounded probabilities (Shokri et al. 2017, arXiv 1610.05820, section VIII)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from invbench.defenses import Context, Defense
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class RoundAnswers(Defense):
    """Answer with a few decimals."""

    decimals: int = parameter(1, at_least=0, at_most=6, help="decimals of a probability that are kept")

    def answer(self, scores: Tensor, context: Context) -> Tensor:
        return scores.round(decimals=self.decimals)
