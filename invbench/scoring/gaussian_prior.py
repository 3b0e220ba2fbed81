"""A Gaussian prior fitted on pictures that are not attacked: what the data set tells an attacker of any picture."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

from invbench.data import ImagePool
from invbench.numbers.covariance import shrunk
from invbench.scoring.controls import Array

MOST_SAMPLED = 1000
"""Pictures that the covariance is fitted on, at equal steps through those that are not attacked."""
FEWEST = 32
"""Below it the prior is white: a covariance of a few pictures is one of those pictures."""
MOST_PIXELS = 8192
"""Of a picture with a covariance: half a gigabyte."""


def sample_of(pool: ImagePool, attacked: Array) -> Array:
    """Indexes of the pictures that the prior is fitted on; none where it is white."""
    others = np.setdiff1d(pool.train if len(pool.train) >= FEWEST else np.arange(len(pool.images)), attacked)
    if len(others) < FEWEST or pool.images[0].size > MOST_PIXELS:
        return others[:0]
    places: Array = others[np.linspace(0, len(others) - 1, min(MOST_SAMPLED, len(others))).astype(int)]
    return places


def named(sample: Array) -> str:
    """A hash of a sample."""
    return hashlib.sha256(np.ascontiguousarray(sample, dtype=np.int64).data).hexdigest()


@lru_cache(maxsize=1)
def root(pool: ImagePool, sample: tuple[int, ...]) -> Array:
    """L `(p, p)`, lower triangular, L L' the covariance of a picture's unit-range pixels, float64.

    That of the sample, shrunk towards white by as much as is best on average (Ledoit and Wolf 2004, lemma 3.4); with no
    sample white, of the data set's own standard deviations.
    """
    height, width = pool.images.shape[2:]
    if not sample:
        return np.diag(np.repeat(np.array(pool.std, dtype=np.float64), height * width))
    rows = pool.unit(sample).reshape(len(sample), -1).astype(np.float64)
    return np.linalg.cholesky(shrunk(rows - rows.mean(axis=0)))
