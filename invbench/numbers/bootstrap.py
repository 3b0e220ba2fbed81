"""Percentile bootstrap (Efron and Tibshirani 1993, ch. 13) of statistics of a whole cell, such as an AUC.

The draws have a fixed seed, so equal values always give equal intervals. `benchmarks/intervals.py` shows how often
these intervals cover the truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from invbench.numbers.intervals import LEVEL

Array = npt.NDArray[np.float64]

DRAWS = 2000
SEED = 0
BLOCK = 1_000_000
"""Most elements of a block of draws: bounds memory (8 MB) whatever the number of units."""


def drawn_weights(units: int) -> Iterator[Array]:
    """How often each unit is drawn in each of `DRAWS` draws, block by block: `(units, draws of the block)`."""
    rows = max(1, min(DRAWS, BLOCK // units))
    return (_times_drawn(units, start, min(rows, DRAWS - start)) for start in range(0, DRAWS, rows))


def percentiles(drawn: Array, whole: float, *, centred: bool = False) -> tuple[float, float]:
    """Both ends of the central interval of what was drawn `(DRAWS,)`; `whole` twice where no draw has a value.

    `centred`: what was drawn is shifted so that its mean is `whole`.
    """
    found = drawn[np.isfinite(drawn)]
    if not len(found):
        return whole, whole
    shift = whole - found.mean() if centred else 0.0
    low, high = shift + np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


@lru_cache(maxsize=8)
def _times_drawn(units: int, start: int, rows: int) -> Array:
    """How often each unit is drawn in draws `start` to `start + rows`: `(units, rows)`, columns sum to units."""
    chosen = np.random.default_rng((SEED, start)).integers(units, size=(units, rows))
    flat = (chosen * rows + np.arange(rows)).ravel()
    return np.bincount(flat, minlength=units * rows).reshape(units, rows).astype(np.float64)
