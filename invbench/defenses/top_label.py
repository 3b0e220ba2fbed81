"""The likeliest class alone (Shokri et al. 2017, arXiv 1610.05820, section VIII: restrict the prediction vector)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.defenses import Context, Defense
from invbench.registry import defense


@defense
@dataclass(frozen=True, kw_only=True)
class TopLabel(Defense):
    """Answer 1 for the likeliest class and 0 for all others; of equal ones the first is told."""

    def answer(self, scores: Tensor, context: Context) -> Tensor:
        likeliest = scores.argmax(dim=1, keepdim=True)
        return torch.zeros_like(scores).scatter_(1, likeliest, 1.0)
