"""Gauss-Newton on the likelihood of the whole update, with a Gaussian prior on normalised pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.peeling.chain import Link
from invbench.peeling.least_squares import cholesky
from invbench.peeling.sensitivity import information, weighted_residual
from invbench.updates.equations import rank

_NEAR = 0.3  # of the posterior's variance: Gauss-Newton squares what is left, so the step after would be for nothing
_HALVINGS = 8


@dataclass(frozen=True, eq=False)
class Refined:
    """`picture` `(C, H, W)`, posterior `variance` of each pixel, steps taken, evaluations of the gradient.

    `open_share`: trace(posterior covariance * prior precision), what the update leaves open of the picture.
    `condition`: lower bound of its equations' condition number.
    """

    picture: Tensor
    variance: Tensor
    open_share: float
    condition: float
    steps: int
    evaluations: int

    @property
    def rank(self) -> int:
        """n - trace(posterior covariance * prior precision)."""
        return rank(self.picture.numel(), self.open_share, self.condition)


def refine(
    chain: Sequence[Link],
    start: Tensor,
    label: int,
    seen: Mapping[str, Tensor],
    variances: Mapping[str, Tensor],
    prior: Tensor,
    *,
    steps: int,
) -> Refined:
    """The most likely picture near `start`, by at most `steps` Gauss-Newton steps, each halved until it helps.

    `prior` `(n, n)`: the precision of a Gaussian of mean 0 on the normalised pixels. The last step is the one after
    which less than `_NEAR` of the posterior's own spread is left to go, as its own length foretells.
    """
    picture, evaluations, done = start.clone(), 0, 0
    while True:
        at = information(chain, picture, label, seen, variances)
        pull = at.pull - prior @ picture.flatten()
        matrix = at.matrix.add_(prior)
        largest = float(matrix.diagonal().max())
        size = matrix.diagonal().rsqrt()[:, None]
        factor = cholesky(matrix.mul_(size).mul_(size.T))
        step = (size * torch.cholesky_solve(size * pull[:, None], factor)).reshape(picture.shape)
        distance = float(step.flatten() @ pull) / picture.numel()  # in units of the posterior's variance
        moved, tried = _descended(chain, picture, step, label, seen, variances, prior, at.residual)
        evaluations += 1 + tried
        if moved is None:
            break
        picture, done = moved, done + 1
        if done == steps or distance < _NEAR:
            break
    spread = torch.cholesky_inverse(factor).mul_(size).mul_(size.T)
    variance = spread.diagonal().clone()
    open_share, condition = float((spread * prior).sum()), math.sqrt(largest * float(variance.max()))
    return Refined(picture, variance.reshape(picture.shape), open_share, condition, done, evaluations)


def _descended(
    chain: Sequence[Link],
    picture: Tensor,
    step: Tensor,
    label: int,
    seen: Mapping[str, Tensor],
    variances: Mapping[str, Tensor],
    prior: Tensor,
    residual_here: float,
) -> tuple[Tensor | None, int]:
    """The first of picture + step, + step / 2, ... that is more likely, and how many were tried."""

    def loss(at: Tensor, residual_there: float) -> float:
        return residual_there + float(at.flatten() @ (prior @ at.flatten()))

    before = loss(picture, residual_here)
    for tried in range(_HALVINGS):
        moved = picture + step / 2**tried
        if loss(moved, weighted_residual(chain, moved, label, seen, variances)) < before:
            return moved, tried + 1
    return None, _HALVINGS
