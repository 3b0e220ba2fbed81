"""RMIA: robust membership inference by pairwise likelihood ratios (Zarifzadeh et al. 2024, arXiv 2312.03262)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from invbench.registry import attack, parameter
from invbench.shadows.answers import LEAST, ZEROS, Shadows, log_confidence
from invbench.shadows.attack import ShadowAttack


@attack(game="membership", versions_with=ZEROS)
@dataclass(frozen=True, kw_only=True)
class Rmia(ShadowAttack):
    """The share of other pictures z whose likelihood ratio is at least `gamma` times smaller than the candidate's.

    score(x) = share of z with [P(x | victim) / P(x)] / [P(z | victim) / P(z)] >= gamma

    P(x | model) is the probability of the right class; P(x) its mean over models with and without x. `online`: the mean
    over the shadows, half of which were trained on x. `offline`: P(x) = ((1 + a) P_out(x) + 1 - a) / 2 from the shadows
    that were not, for a confidence of a P_out + 1 - a by those that were is supposed.

    Two things are not the paper's: probabilities are a plain softmax, and z are the other candidates, for every shadow
    is trained on all of `reference`, so that P(z) is not to be had of those.
    """

    mode: Literal["online", "offline"] = parameter("online", help="P(x) from all shadows, or from those without x")
    gamma: float = parameter(2.0, above=0, help="how many times larger than that of z the ratio has to be")
    a: float = parameter(0.3, at_least=0, at_most=1, help="offline: slope of the confidence with x in that without")

    def scores(self, own: Tensor, labels: Tensor, shadows: Shadows) -> Tensor:
        ratio = log_confidence(own, labels, shadows.least) - self._log_evidence(shadows, labels)
        others = ratio.sort().values
        below = torch.searchsorted(others, ratio - math.log(self.gamma), right=True).double()
        itself = float(self.gamma <= 1)  # every candidate passes its own test there, and no other
        return (below - itself) / max(1, len(ratio) - 1)

    def _log_evidence(self, shadows: Shadows, labels: Tensor) -> Tensor:
        """log P(x), `(N,)`."""
        confidence = log_confidence(shadows.probabilities, labels, shadows.least).exp()  # (K, N)
        if self.mode == "online":
            return confidence.mean(dim=0).clamp_min(LEAST).log()
        out = ~shadows.kept
        without = (confidence * out).sum(dim=0) / out.sum(dim=0).clamp_min(1)
        return (((1 + self.a) * without + 1 - self.a) / 2).clamp_min(LEAST).log()
