"""Percentile bootstrap over targets (Efron and Tibshirani 1993, ch. 13), for many series at once.

The draws have a fixed seed, so equal values always give equal intervals, alone or in company. Series of one length
share their draws: what each costs is a weighted sum and four order statistics.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

DRAWS = 2000
LEVEL = 0.95
SEED = 0
BLOCK = 1_000_000
"""Most elements of a block of draws: bounds memory (8 MB) whatever the number of targets."""
SERIES = 128
"""Series drawn together: few enough that their draws stay in a processor's cache."""
TAIL = 1.6
"""Standard errors beyond which 2.5 % of the draws are looked for; where fewer lie there, all are."""


def intervals(sums: Array, counts: Array) -> Array:
    """Percentile interval of sum/count over resampled targets, a row a series: `(series, 2)`.

    `sums` and `counts` are `(series, targets)`; a series whose targets all have one mean gets that mean twice.
    """
    means = sums / counts
    found = np.stack([means[:, 0], means[:, 0]], axis=1)
    varying = np.flatnonzero(means.min(axis=1) != means.max(axis=1))
    room = np.empty((SERIES, DRAWS))  # fresh memory for every block would cost more than the draws
    for start in range(0, len(varying), SERIES):
        block = varying[start : start + SERIES]
        drawn, wholes = room[: len(block)], sums[block].sum(axis=1) / counts[block].sum(axis=1)
        divisor = _draw(sums[block], counts[block], drawn)
        reach = TAIL * means[block].std(axis=1) / math.sqrt(means.shape[1])
        found[block] = _ends(drawn, divisor, wholes[:, None], reach[:, None])
    return found


def drawn_weights(units: int) -> Iterator[Array]:
    """How often each unit is drawn in each of `DRAWS` draws, block by block: `(units, draws of the block)`."""
    rows = max(1, min(DRAWS, BLOCK // units))
    return (_times_drawn(units, start, min(rows, DRAWS - start)) for start in range(0, DRAWS, rows))


def percentiles(drawn: Array, whole: float) -> tuple[float, float]:
    """Both ends of the central interval of what was drawn `(DRAWS,)`; `whole` twice where no draw has a value."""
    found = drawn[np.isfinite(drawn)]
    if not len(found):
        return whole, whole
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _draw(sums: Array, counts: Array, drawn: Array) -> float:
    """Fill `drawn` `(series, DRAWS)` with the mean of every draw, times the number returned."""
    targets, start = sums.shape[1], 0
    equal = bool((counts == counts[0, 0]).all())  # then every draw counts the same: only what is found is divided
    for times in drawn_weights(targets):
        part = drawn[:, start : start + times.shape[1]]
        start += times.shape[1]
        # einsum adds target by target for each draw, unlike a matrix product, whose order depends on the machine
        np.einsum("st,td->sd", sums, times, out=part)
        if not equal:
            part /= np.einsum("st,td->sd", counts, times)
    return float(targets * counts[0, 0]) if equal else 1.0


@lru_cache(maxsize=8)
def _times_drawn(targets: int, start: int, rows: int) -> Array:
    """How often each target is drawn in draws `start` to `start + rows`: `(targets, rows)`, columns sum to targets."""
    chosen = np.random.default_rng((SEED, start)).integers(targets, size=(targets, rows))
    flat = (chosen * rows + np.arange(rows)).ravel()
    return np.bincount(flat, minlength=targets * rows).reshape(targets, rows).astype(np.float64)


def _ends(drawn: Array, divisor: float, middle: Array, reach: Array) -> Array:
    """Both ends of the central interval of every row over `divisor`, `(series, 2)`, bit for bit as `np.quantile`'s.

    Only the tails are sorted: what lies further than `reach` from the `middle`, both `(series, 1)`.
    """
    low, high = ((1 - LEVEL) / 2 * (DRAWS - 1), (1 + LEVEL) / 2 * (DRAWS - 1))  # places in the sorted draws
    tails = drawn < divisor * (middle - reach), drawn > divisor * (middle + reach)
    below, above = (end / divisor for end in _least(drawn, tails[0], math.floor(low), 1))
    # the greatest are the least of the negated
    beyond, within = (-end / divisor for end in _least(drawn, tails[1], DRAWS - 2 - math.floor(high), -1))
    return np.stack([_between(below, above, low % 1), _between(within, beyond, high % 1)], axis=1)


def _least(drawn: Array, tail: npt.NDArray[np.bool_], rank: int, sign: int) -> tuple[Array, Array]:
    """The values of rank `rank` (from 0) and the next in every row times `sign`; `tail` marks the row's least."""
    places = np.flatnonzero(tail)
    counts = np.diff(np.searchsorted(places, np.arange(len(drawn) + 1) * DRAWS))
    least = np.full((len(drawn), max(counts.max(), rank + 2)), np.inf)
    least[np.arange(least.shape[1]) < counts[:, None]] = sign * drawn.ravel()[places]
    short = counts < rank + 2  # few different values: shares of few targets
    if short.any():
        least[short, : rank + 2] = np.partition(sign * drawn[short], rank + 1, axis=1)[:, : rank + 2]
    least.sort(axis=1)
    return least[:, rank], least[:, rank + 1]


def _between(below: Array, above: Array, weight: float) -> Array:
    """Linear interpolation, from the nearer side, so that it never leaves the two."""
    return below + (above - below) * weight if weight < 0.5 else above - (above - below) * (1 - weight)
