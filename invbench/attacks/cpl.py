"""Client privacy leakage (CPL; Wei et al. 2020, ESORICS, arXiv 2004.10397)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.labels import label_strategy
from invbench.matching.leakage import LeakageRecipe
from invbench.matching.problem import Problem
from invbench.matching.terms import Term, of_answers
from invbench.observation import Public, UpdateObservation
from invbench.registry import attack, parameter


@attack(game="update")
@dataclass(frozen=True, kw_only=True)
class Cpl(LeakageRecipe):
    """min sum_l |g_l - G_l|^2 + task |p(x) - y|^2 by L-BFGS, from a start of one tile of noise, repeated.

    The label is read off the last layer first, as by iDLG, and p is what the network answers to the guess. The paper's
    second term has weight 1, and the authors' code leaves it out (`task: 0`); whether p are probabilities or scores the
    paper does not say: here probabilities. A tile of half a side, repeated twice each way, is the best of the paper's
    geometric starts; `tiles: 1` is noise all over. Noise is uniform between black and white.
    """

    task: float = parameter(1.0, at_least=0, help="weight of the squared distance of the network's answer to the label")
    tiles: int = parameter(2, at_least=1, help="how often the start's tile of noise is repeated, along each side")

    def unsupported(self, public: Public) -> str | None:
        if self.task and self.labels == "joint":
            return "labels: joint: its task term needs labels; `task: 0` goes without"
        return super().unsupported(public)

    def _priors(self, seen: UpdateObservation) -> tuple[float, Sequence[Term]]:
        tv, terms = super()._priors(seen)
        strategy, _ = label_strategy(self.labels, seen.public)
        return tv, [*terms, of_answers(self.task, seen, strategy)] if self.task else terms

    def _start(self, problem: Problem, seen: UpdateObservation) -> Tensor:
        """Tiles on the pixels; what else is sought starts as it does elsewhere."""
        count, channels, height, width = problem.image_shape
        rows, columns = -(-height // self.tiles), -(-width // self.tiles)
        tile = torch.rand(count, channels, rows, columns, generator=seen.generator)
        mean, std = (constants.cpu() for constants in seen.channel_constants())
        pictures = (tile.repeat(1, 1, self.tiles, self.tiles)[..., :height, :width] - mean) / std
        others = super()._start(problem, seen)[problem.pixels :]
        return torch.cat([pictures.flatten().to(others), others])
