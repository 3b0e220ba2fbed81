"""LiRA: the likelihood ratio attack (Carlini et al. 2022, arXiv 2112.03570)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from invbench.registry import attack, parameter
from invbench.shadows.answers import ZEROS, Shadows, logit
from invbench.shadows.attack import ShadowAttack
from invbench.shadows.normal_inverse_gamma import Groups, fitted

_LEAST_VARIANCE = 1e-12  # of equal answers, as a rounding defence gives them


@attack(game="membership", versions_with=ZEROS)
@dataclass(frozen=True, kw_only=True)
class Lira(ShadowAttack):
    """How much likelier the victim's phi = log p / (1 - p) is under shadows with the candidate than without it.

    Each candidate has two Gaussians of phi: N(mu_in, var_in) over the shadows that were trained on it, N(mu_out,
    var_out) over the others.

    `online` (algorithm 1): log N(phi; mu_in, var_in) - log N(phi; mu_out, var_out). `offline`: the test
    of phi against N(mu_out, var_out) alone, which is one-sided, for members are surer than that and never less sure.
    The score is (phi - mu_out) / std_out, which orders as the paper's 1 - Pr[Z > phi] does and does not saturate.

    `variance: per-example` is each candidate's own, `fixed` one number for all: the mean over candidates of the
    variances about their own means, not the spread of the whole matrix of phi, which holds how much candidates differ.
    The paper advises the fixed one where shadows are few. `bayesian` is not the paper's: mean and variance of a
    candidate have a normal-inverse-gamma prior, one for all with it and one for all without, fitted to the shadows by
    marginal likelihood, and the Gaussian becomes the Student-t that predicts another model's phi. So what a candidate's
    few shadows leave open is counted, and the others fill it in.
    """

    mode: Literal["online", "offline"] = parameter("online", help="shadows with and without a candidate, or without")
    variance: Literal["fixed", "per-example", "bayesian"] = parameter(
        "fixed", help="one variance for all candidates, each's own, or each's with a prior fitted to all"
    )

    def scores(self, own: Tensor, labels: Tensor, shadows: Shadows) -> Tensor:
        phi = logit(own, labels, shadows.least)  # (N,)
        theirs = logit(shadows.probabilities, labels, shadows.least)  # (K, N)
        if self.variance == "bayesian":
            return self._bayesian(phi, theirs, shadows.kept)
        mean_out, var_out = self._gaussians(theirs, ~shadows.kept)
        if self.mode == "offline":
            return (phi - mean_out) / var_out.sqrt()
        mean_in, var_in = self._gaussians(theirs, shadows.kept)
        return _log_normal(phi, mean_in, var_in) - _log_normal(phi, mean_out, var_out)

    def _bayesian(self, phi: Tensor, theirs: Tensor, kept: Tensor) -> Tensor:
        without = Groups.of(theirs, ~kept)
        out = fitted(without).predictive(without)
        if self.mode == "offline":
            return (phi - out.centre) / out.scale
        members = Groups.of(theirs, kept)
        return fitted(members).predictive(members).log_density(phi) - out.log_density(phi)

    def _gaussians(self, phi: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance `(N,)` over the shadows of each candidate's group `(K, N)`.

        A candidate with one shadow in its group has no variance of its own, and gets the fixed one.
        """
        count = group.sum(dim=0)
        mean = (phi * group).sum(dim=0) / count
        own = ((phi - mean).square() * group).sum(dim=0) / (count - 1)  # unbiased, NaN for one shadow
        several = count > 1
        fixed = own[several].mean()
        variance = own if self.variance == "per-example" else fixed.expand_as(own)
        return mean, torch.where(several, variance, fixed).clamp_min(_LEAST_VARIANCE)


def _log_normal(value: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Log density of a normal distribution."""
    return -0.5 * ((value - mean).square() / variance + variance.log() + math.log(2 * math.pi))
