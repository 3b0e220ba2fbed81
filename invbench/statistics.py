"""Means with their spread and interval: percentile bootstrap over targets (Efron and Tibshirani 1993, ch. 13).

The unit of resampling is the target: the pictures of one batch share their update and are not independent.
The draws have a fixed seed, so equal values always give equal intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

DRAWS = 2000
LEVEL = 0.95
SEED = 0
BLOCK = 1_000_000
"""Most elements of a block of draws: bounds memory (8 MB) whatever the number of targets."""


@dataclass(frozen=True)
class Summary:
    """A metric over a cell: mean over items, their standard deviation, 95 % interval of the mean over targets."""

    mean: float
    std: float
    ci_low: float
    ci_high: float


def summarise(values: Sequence[Sequence[float | None]]) -> Summary | None:
    """Summary of `values[target][item]`; empty items (None, not finite) are skipped, None if all are empty.

    `std` is over the items as they are (divisor N): the spread of these pictures, not an estimate for others.
    One target alone has no interval: its two ends are the mean.
    """
    kept = [np.array(present) for target in values if (present := _present(target))]
    if not kept:
        return None
    items = np.concatenate(kept)
    sums, counts = np.array([k.sum() for k in kept]), np.array([len(k) for k in kept], dtype=np.float64)
    low, high = _interval(sums, counts)
    return Summary(float(sums.sum() / counts.sum()), float(items.std()), low, high)


def target_means(values: Sequence[Sequence[float | None]]) -> list[float | None]:
    """One value a target: the mean over its items that are not empty, None where all are."""
    return [mean(target) for target in values]


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of the values that are not empty, None where all are."""
    present = _present(values)
    return math.fsum(present) / len(present) if present else None


def paired_interval(before: Sequence[float | None], after: Sequence[float | None]) -> tuple[float, float] | None:
    """95 % interval of the mean of `after - before`, one pair a target.

    A pair with an empty side is skipped; None if no pair is left. One pair alone gives its difference twice.
    ValueError where the two have different numbers of targets.
    """
    differences = np.array(paired_differences(before, after))
    return _interval(differences, np.ones(len(differences))) if len(differences) else None


def paired_differences(before: Sequence[float | None], after: Sequence[float | None]) -> list[float]:
    """`after - before` of every pair with no empty side; ValueError where the numbers of targets differ."""
    pairs = [_present(pair) for pair in zip(before, after, strict=True)]
    return [pair[1] - pair[0] for pair in pairs if len(pair) == 2]


def _present(values: Sequence[float | None]) -> list[float]:
    return [float(v) for v in values if v is not None and math.isfinite(v)]


def _interval(sums: Array, counts: Array) -> tuple[float, float]:
    """Percentile interval of sum/count over resampled targets; `sums` and `counts` are `(targets,)`."""
    means = sums / counts
    if means.min() == means.max():  # every draw then has that mean: one target, or all equal
        return float(means[0]), float(means[0])
    targets = len(sums)
    rows = max(1, min(DRAWS, BLOCK // targets))
    drawn = []
    for start in range(0, DRAWS, rows):
        times = _times_drawn(targets, start, min(rows, DRAWS - start))
        drawn.append((times * sums[:, None]).sum(axis=0) / (times * counts[:, None]).sum(axis=0))
    low, high = np.quantile(np.concatenate(drawn), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


@lru_cache(maxsize=8)
def _times_drawn(targets: int, start: int, rows: int) -> Array:
    """How often each target is drawn in draws `start` to `start + rows`: `(targets, rows)`, columns sum to targets."""
    chosen = np.random.default_rng((SEED, start)).integers(targets, size=(targets, rows))
    flat = (chosen * rows + np.arange(rows)).ravel()
    return np.bincount(flat, minlength=targets * rows).reshape(targets, rows).astype(np.float64)
