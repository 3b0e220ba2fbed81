"""How well a score tells members from others: area under the ROC curve, and true positives at few false ones.

The statistics of membership inference (Carlini et al. 2022, arXiv 2112.03570). Both take weighted items, many
weightings at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from invbench.numbers.whole_cell import Array, Statistic

ROUNDING = 1e-9
"""Relative slack, so that a rate of exactly the one allowed is allowed whatever its last bits."""


@dataclass(frozen=True, kw_only=True)
class Auc(Statistic):
    """Area under the ROC curve: how often a member scores above another item, ties counted half."""

    inputs: tuple[str, ...] = ("score", "member")
    least: float | None = 0.0
    most: float | None = 1.0

    def values(self, inputs: Sequence[Array], weights: Array) -> Array:
        members, others = _by_score(inputs, weights)  # (scores, draws), the lowest score first
        below = np.cumsum(others, axis=0) - others / 2
        return _ratio((members * below).sum(axis=0), members.sum(axis=0) * others.sum(axis=0))

    def why_empty(self, inputs: Sequence[Array]) -> str | None:
        return _one_sided(inputs)

    def units(self, inputs: Sequence[Array]) -> int:
        """Pairs of a member and another item that share none: where all are ranked right, so are these."""
        return min(_sides(inputs))


@dataclass(frozen=True, kw_only=True)
class TruePositiveRate(Statistic):
    """The largest share of members above a threshold that at most the share `at` of the others is above.

    Empty with fewer than 1/`at` others: a single false positive would already be too many.
    """

    at: float
    inputs: tuple[str, ...] = ("score", "member")
    least: float | None = 0.0
    most: float | None = 1.0

    def values(self, inputs: Sequence[Array], weights: Array) -> Array:
        members, others = (side[::-1].cumsum(axis=0) for side in _by_score(inputs, weights))  # above each threshold
        allowed = others <= self.at * others[-1] * (1 + ROUNDING)
        return _ratio(np.where(allowed, members, 0.0).max(axis=0), np.where(others[-1] > 0, members[-1], 0.0))

    def found(self, score: Array, member: Array) -> npt.NDArray[np.bool_]:
        """Which items `(N,)` are the members above that threshold, every item counted once."""
        found: npt.NDArray[np.bool_] = (member != 0) & self.flagged(score, member)
        return found

    def flagged(self, score: Array, member: Array) -> npt.NDArray[np.bool_]:
        """Which items `(N,)` are above that threshold, members or not."""
        others = np.sort(score[member == 0])[::-1]
        allowed = math.floor(self.at * len(others) * (1 + ROUNDING))
        above: npt.NDArray[np.bool_] = score > others[allowed]
        return above

    def why_empty(self, inputs: Sequence[Array]) -> str | None:
        others, needed = int((inputs[1] == 0).sum()), math.ceil(1 / self.at - ROUNDING)
        if others < needed:
            return f"a false positive rate of {self.at:g} needs at least {needed} non-members, there are {others}"
        return _one_sided(inputs)

    def units(self, inputs: Sequence[Array]) -> int:
        """The members, each of which is above the threshold or is not, and no more than the others that set it."""
        return min(_sides(inputs))


def precision(true: float, false: float, share: float) -> float:
    """How often a positive is a member at these rates, where members are this share of all who are asked about."""
    found, wrong = share * true, (1 - share) * false
    return found / (found + wrong)


@dataclass(frozen=True, kw_only=True)
class BalancedAccuracy(Statistic):
    """The mean of the share of members called so and of the share of others not, at the attack's own threshold."""

    inputs: tuple[str, ...] = ("called", "member")
    least: float | None = 0.0
    most: float | None = 1.0

    def values(self, inputs: Sequence[Array], weights: Array) -> Array:
        called, member = (one[:, None] != 0 for one in inputs)
        right = _ratio((weights * (called & member)).sum(axis=0), (weights * member).sum(axis=0))
        spared = _ratio((weights * (~called & ~member)).sum(axis=0), (weights * ~member).sum(axis=0))
        return (right + spared) / 2

    def why_empty(self, inputs: Sequence[Array]) -> str | None:
        return _one_sided(inputs)

    def units(self, inputs: Sequence[Array]) -> int:
        """As many as there are of the rarer kind."""
        return min(_sides(inputs))


def _sides(inputs: Sequence[Array]) -> tuple[int, int]:
    """How many members there are, and how many others."""
    members = int((inputs[1] != 0).sum())
    return members, len(inputs[1]) - members


def _one_sided(inputs: Sequence[Array]) -> str | None:
    members = inputs[1] != 0
    return None if members.any() and not members.all() else "it needs members and non-members"


def _by_score(inputs: Sequence[Array], weights: Array) -> tuple[Array, Array]:
    """Weight of members and of others at each different score, `(scores, draws)`, the lowest score first."""
    score, member = inputs
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    sorted_weights, is_member = weights[order], (member[order] != 0)[:, None]
    members, others = np.where(is_member, sorted_weights, 0.0), np.where(is_member, 0.0, sorted_weights)
    if len(starts) < len(score):
        members, others = np.add.reduceat(members, starts, axis=0), np.add.reduceat(others, starts, axis=0)
    return members, others


def _ratio(part: Array, whole: Array) -> Array:
    """`part / whole`, NaN where nothing of one side was drawn."""
    ratio = np.full(len(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
