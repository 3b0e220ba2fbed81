"""An audit in one run: canaries, each in with probability 1/2, their scores, and three lower bounds on epsilon.

Each is wrong with probability at most `error` by itself, and says nothing of the choice of settings by results, which
no epsilon covers either. From the weakest supposition to the strongest: `audit_any.py`, `audit_tradeoff.py`,
`audit_exact.py`; the last two suppose a family of mechanisms (`audit_family.py`). `audit_counts.py` counts guesses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invbench.privacy import audit_any, audit_exact, audit_tradeoff
from invbench.privacy.audit_counts import Counts, Flags, Floats, frontier, most_sure
from invbench.privacy.audit_family import GAUSSIAN, Family


@dataclass(frozen=True)
class Bounds:
    """Lower bounds on epsilon. `any`: of whatever mechanism; `tradeoff`: of a mechanism whose curve lies on or above
    one of the family's; `exact`: of a mechanism of the family. `family`: its name."""

    any: float
    tradeoff: float
    exact: float
    family: str


def bounds(
    scores: Floats,
    member: Flags,
    middle: float,
    *,
    delta: float,
    error: float = 0.05,
    share: float = 1.0,
    surest: float | None = None,
    groups: Sequence[slice] | None = None,
    family: Family = GAUSSIAN,
) -> Bounds:
    """The bounds that scores `(n,)` prove, higher for likelier in, of canaries of whom `member` `(n,)` were in.

    `middle`: the score at which in and out are as likely, and `share`, of canaries guessed on by the exact tail, are
    chosen before anybody knows who is in. So is `surest`, the share on which the bound of whatever mechanism guesses,
    both ways; without it the best of all thresholds is taken, above which "in" is guessed. `groups`: canaries that are
    audited by themselves, a layer each, the best taken and `error` divided by how many there are.
    """
    parts = [slice(None)] if groups is None else list(groups)
    each = error / len(parts)
    found = [_of_part(scores[part], member[part], middle, delta, each, share, surest, family) for part in parts]
    whatever, tradeoff, exact = (max(kind) for kind in zip(*found, strict=True))
    return Bounds(whatever, tradeoff, exact, family.name)


def _of_part(
    scores: Floats,
    member: Flags,
    middle: float,
    delta: float,
    error: float,
    share: float,
    surest: float | None,
    family: Family,
) -> tuple[float, float, float]:
    counted = frontier(scores, member)
    exact = audit_exact.parameter_above(_guesses(scores, member, middle, share), family, error)
    if surest is None:
        whatever = any_of_thresholds(counted, delta, error)
    else:
        whatever = audit_any.epsilon_above(_guesses(scores, member, middle, surest), delta, error)
    return (
        whatever,
        tradeoff_of_thresholds(counted, delta, error, family),
        family.epsilon(exact, delta),
    )


def _guesses(scores: Floats, member: Flags, middle: float, share: float) -> Counts:
    return most_sure(scores, member, middle, max(1, round(share * len(scores))))


def any_of_thresholds(counted: Sequence[Counts], delta: float, error: float) -> float:
    """The best bound of whatever mechanism over all thresholds, `error` divided by how many there are."""
    best = 0.0
    for counts in _promising_first(counted):
        best = audit_any.epsilon_above(counts, delta, error / len(counted), best)
    return best


def tradeoff_of_thresholds(counted: Sequence[Counts], delta: float, error: float, family: Family) -> float:
    """The same from the family's trade-off curves."""
    best = 0.0
    for counts in _promising_first(counted):
        best = audit_tradeoff.parameter_above(counts, family, error / len(counted), best)
    return family.epsilon(best, delta)


def _promising_first(counted: Sequence[Counts]) -> list[Counts]:
    """Those better than chance, the surest first: one look at the best so far then dismisses most of the later ones."""
    better = [counts for counts in counted if 2 * counts.right > counts.guessed]
    surely = [counts.right / counts.guessed - 2 / np.sqrt(counts.guessed) for counts in better]
    return [better[index] for index in np.argsort(-np.array(surely), kind="stable")]
