"""From which score on a candidate is called a member, chosen where membership is known: on shadows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from invbench.shadows.answers import Shadows

Score = Callable[[Tensor, Shadows], Tensor]
"""A model's probabilities of the candidates `(N, classes)` and shadows to compare it with, to scores `(N,)`."""


def chosen_on_shadows(score: Score, shadows: Shadows) -> float:
    """The threshold of best balanced accuracy where each shadow in turn is the victim and the others its shadows."""
    every = [score(own, shadows.without(k)) for k, own in enumerate(shadows.probabilities)]
    return best_threshold(torch.cat(every), shadows.kept.reshape(-1))


def best_threshold(scores: Tensor, member: Tensor) -> float:
    """The highest of the thresholds `score >= t` with the best balanced accuracy, of scores and truth `(M,)`."""
    order = scores.argsort(descending=True, stable=True)
    ranked, right = scores[order], member[order].double()
    found = right.cumsum(0) / right.sum() - (1 - right).cumsum(0) / (1 - right).sum()
    last_of_equals = torch.cat([ranked[1:] != ranked[:-1], torch.ones(1, dtype=torch.bool)])
    return float(ranked[found.where(last_of_equals, torch.tensor(-torch.inf, dtype=found.dtype)).argmax()])
