"""Gradient attack on transformers (TAG; Deng et al. 2021, Findings of EMNLP, arXiv 2103.06819, equation 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from invbench.matching.depth import depths
from invbench.matching.objectives import Objective
from invbench.matching.recipe import Recipe
from invbench.observation import Update, UpdateObservation
from invbench.registry import attack, parameter


@attack(game="update")
@dataclass(frozen=True, kw_only=True)
class Tag(Recipe):
    """min sum_l |g_l - G_l|_2^2 + l1 d_l |g_l - G_l|_1, d_l falling from 1 at the input to 1/n at the last of n layers.

    Published for text, whose embeddings it seeks; for pictures the objective is carried over, and there is no published
    number to reach. The paper says that d falls with the layer and not how: implementations take a line, as here, or a
    constant (`by_depth: flat`). It does not say whether its first norm is squared: implementations square it. Steps,
    rate and optimiser are those of the text attacks that compare themselves with it; L-BFGS stalls on kinks.
    """

    iterations: int = parameter(2500, at_least=1, help="optimiser steps of one start; a step is one evaluation")
    objective: Literal["l2"] = parameter("l2", help="sum of squares, to which `l1` adds layer by layer")
    optimizer: Literal["adam", "signed-adam", "lbfgs", "lbfgs-wolfe"] = parameter(
        "adam", help="how a lane is minimised; lbfgs-wolfe searches along every line"
    )
    l1: float = parameter(0.1, at_least=0, help="weight of the sum of absolute differences, of the layer at the input")
    by_depth: Literal["linear", "flat"] = parameter(
        "linear", help="whether that weight falls in a line towards the last layer, or is the same for all"
    )

    def _objective(self, seen: UpdateObservation) -> Objective:
        shares = depths(seen.public)
        falling = [1.0 - share for share in shares] if self.by_depth == "linear" else [1.0] * len(shares)
        return partial(squares_and_lengths, [self.l1 * one for one in falling])


def squares_and_lengths(weights: Sequence[float], simulated: Update, seen: Update) -> Tensor:
    """sum_l |a_l - b_l|_2^2 + w_l |a_l - b_l|_1; of several rounds the weights repeat."""
    every = [*weights] * (len(seen) // len(weights))
    apart = (a - b for a, b in zip(simulated, seen, strict=True))
    return torch.stack([one.square().sum() + w * one.abs().sum() for one, w in zip(apart, every, strict=True)]).sum()
