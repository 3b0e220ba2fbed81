"""The largest confidences alone (Shokri et al. 2017, arXiv 1610.05820, section VIII: the top k classes)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.defenses import Context, Defense
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class Mask(Defense):
    """Answer the `k` largest confidences as they are and 0 for all others; of equal ones the first are told."""

    k: int = parameter(3, at_least=1, unit="classes", help="how many confidences are told, all where there are fewer")

    def answer(self, scores: Tensor, context: Context) -> Tensor:
        order = scores.argsort(dim=1, descending=True, stable=True)[:, : self.k]
        return torch.zeros_like(scores).scatter(1, order, scores.gather(1, order))
