"""95 % intervals of means over targets, for many series at once: Student's t.

With few targets the percentile bootstrap is far too short: it covers the mean of 2, 4 and 8 normal targets in 50, 79
and 88 of 100 cells, t in 95. Where targets are skewed t covers less, 93 to 95 of 100 at a skewness of 1 and 88 to 92 at
2 (exponential). Hall's correction for skewness (1992) would cover 93 to 96 of those, too, but of an attack that
succeeds on 6 of 8 targets it says nothing any more. `benchmarks/intervals.py` has the coverage of each.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LEVEL = 0.95
LEAST_UNITS = 3
"""Fewer targets, or items of a statistic of the whole cell, are no evidence that anything was read.

One has no interval. Of two that agree by accident the interval is as short as one likes: each of them may be a
success of an attack that mostly fails.
"""
MANY = 100
"""Degrees of freedom above which the expansion of t's quantile is exact to ten digits."""


def mean_intervals(sums: Array, counts: Array) -> Array:
    """Both ends of the interval of sum / count, a row a series: `(series, 2)`; NaN with one target.

    `sums` and `counts` are `(series, targets)`, a column a target: the sum of its items and how many they are. The
    whole is a ratio, and each target's residual is `sum - whole * count`, over the mean count; with equal counts it
    is the target's mean less the whole. A series whose targets all have one mean gets that mean twice.
    """
    targets, means = sums.shape[1], sums / counts
    if targets == 1:
        return np.full((len(sums), 2), np.nan)
    found = np.stack([means[:, 0], means[:, 0]], axis=1)
    varying = means.min(axis=1) != means.max(axis=1)
    if not varying.any():
        return found
    sums, counts = sums[varying], counts[varying]
    whole = (sums.sum(axis=1) / counts.sum(axis=1))[:, None]
    residual = (sums - whole * counts) / counts.mean(axis=1, keepdims=True)
    scale = np.abs(residual).max(axis=1, keepdims=True)  # so that no square leaves float64
    unit = np.divide(residual, scale, out=np.zeros_like(residual), where=scale > 0)
    error = scale * np.sqrt((unit * unit).sum(axis=1, keepdims=True) / (targets - 1) / targets)
    half = student(targets - 1) * error
    found[varying] = np.concatenate([whole - half, whole + half], axis=1)
    return found


def at_the_end(least: float, most: float, value: float, units: int) -> tuple[float, float]:
    """The interval where all of `units` independent values are the least, or the most, that is possible.

    Whatever the law: values that are all the most have probability p ** units where p is that of the most, so
    p is at least 0.025 ** (1 / units), and the mean at least that share of the way from `least` to `most`.
    """
    share = ((1 - LEVEL) / 2) ** (1 / units)
    if value == most:
        return least + share * (most - least), most
    return least, most - share * (most - least)


@lru_cache
def student(freedom: int) -> float:
    """The quantile of |t| with that many degrees of freedom at `LEVEL`.

    By bisection of the finite sums for whole degrees (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4); above `MANY`
    by the expansion around the normal quantile (26.7.5). SciPy has it, too, but takes half a second to import.
    """
    if freedom > MANY:
        z = NormalDist().inv_cdf((1 + LEVEL) / 2)
        terms = (
            (z**3 + z) / 4,
            (5 * z**5 + 16 * z**3 + 3 * z) / 96,
            (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
            (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
        )
        return float(z + sum(term / freedom**power for power, term in enumerate(terms, start=1)))
    low, high = 0.0, math.pi / 2  # of the angle whose tangent is t / sqrt(freedom)
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _within(middle, freedom) < LEVEL else (low, middle)
    return math.sqrt(freedom) * math.tan(high)


def _within(angle: float, freedom: int) -> float:
    """The probability that |t| is below sqrt(freedom) tan(angle)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    total, term = 0.0, cosine if odd else 1.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= k / (k + 1) * cosine * cosine
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
