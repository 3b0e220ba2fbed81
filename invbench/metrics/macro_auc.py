"""How well scores rank the true class: macro AUC, and each person's part in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def macro_auc(scores: npt.NDArray[np.floating[Any]], truth: npt.NDArray[np.integer[Any]]) -> float:
    """Mean over classes of the one-vs-rest area under the ROC curve, ties counted half.

    `scores`: `(N, K)`, higher for a likelier class; `truth`: `(N,)`, class indexes. Only classes with at
    least two members and at least one other person count; NaN where none does. ValueError for other
    shapes, for NaN, for a class that is not there.
    """
    areas = [_area(_ranked_right(scores[:, k], truth == k), truth == k) for k in _counted(scores, truth)]
    return float(np.mean(areas)) if areas else float("nan")


def macro_auc_pseudo_values(scores: npt.NDArray[np.floating[Any]], truth: npt.NDArray[np.integer[Any]]) -> Floats:
    """Jackknife pseudo-values of the macro AUC, `(N,)`: n A - (n - 1) A_{-i}; their mean is the macro AUC.

    A_{-i} leaves person i out and keeps the classes that count with everybody in. They let two attacks be
    compared person by person. Where i is a class's only other, nothing is left to rank and A_{-i} is A.
    All NaN where no class counts. Errors as for `macro_auc`.
    """
    values = [_pseudo_values(scores[:, k], truth == k) for k in _counted(scores, truth)]
    return np.mean(values, axis=0) if values else np.full(len(truth), np.nan)


def _counted(scores: npt.NDArray[Any], truth: npt.NDArray[Any]) -> list[int]:
    if scores.ndim != 2 or truth.shape != scores.shape[:1]:
        raise ValueError(f"need scores (N, K) and truth (N,), not {scores.shape} and {truth.shape}")
    if not np.issubdtype(truth.dtype, np.integer):
        raise ValueError(f"truth must hold class indexes, not {truth.dtype}")
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN")
    people, classes = scores.shape
    if people and not (truth.min() >= 0 and truth.max() < classes):
        raise ValueError(f"truth must hold classes 0 to {classes - 1}")
    members = np.bincount(truth, minlength=classes)
    return [k for k in range(classes) if 2 <= members[k] < people]


def _ranked_right(scores: npt.NDArray[Any], member: npt.NDArray[np.bool_]) -> Floats:
    """For each person the number of people on the other side whom they are ranked right against."""
    below = _ranks(scores)
    for side in (member, ~member):
        below[side] -= _ranks(scores[side])  # what is left of a rank counts the other side alone
    return np.where(member, below, member.sum() - below)


def _ranks(values: npt.NDArray[Any]) -> Floats:
    """Ranks from 1, equal values sharing their mean (`scipy.stats.rankdata`, whose import takes a second)."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


def _area(right: Floats, member: npt.NDArray[np.bool_]) -> float:
    return float(right[member].sum() / (member.sum() * (~member).sum()))


def _pseudo_values(scores: npt.NDArray[Any], member: npt.NDArray[np.bool_]) -> Floats:
    right = _ranked_right(scores, member)
    n, members, others = len(member), member.sum(), (~member).sum()
    area = _area(right, member)
    pairs_left = np.where(member, (members - 1) * others, members * (others - 1))
    left_out = np.full(n, area)
    np.divide(right[member].sum() - right, pairs_left, out=left_out, where=pairs_left > 0)
    return n * area - (n - 1) * left_out


METRIC = Metric(
    column=Column(
        "macro_auc",
        "area under the ROC curve, averaged over the attribute's values",
        title="macro AUC",
        pooled=True,
        least=0.0,
        most=1.0,
    ),
    games=("attribute", "update-attribute"),
    inputs=("probabilities", "truth"),
    values=macro_auc_pseudo_values,
)
