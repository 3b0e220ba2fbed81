"""A Gaussian prior fitted on pictures that are not attacked: what the data set tells of a picture whose label is known.

A picture of a label is normal with a covariance of its own, shrunk towards the one that labels have in common, which is
shrunk towards white. So a label of few pictures has the common one, and one of many its own.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache

import numpy as np

from invbench.data import ImagePool
from invbench.scoring.controls import Array

MOST_SAMPLED = 1000
"""Pictures that a covariance is fitted on, at equal steps through those that are not attacked."""
FEWEST = 32
"""Below it the prior is white: a covariance of a few pictures is one of those pictures."""
MOST_PIXELS = 8192
"""Of a picture with a covariance: half a gigabyte."""

Sample = tuple[int, ...]
"""Indexes of pictures; a prior is known by them."""


def sample_of(pool: ImagePool, attacked: Array, label: int | None = None) -> Sample:
    """The pictures that the prior is fitted on, those of a label alone where one is given; none where it is white."""
    others = np.setdiff1d(pool.train if len(pool.train) >= FEWEST else np.arange(len(pool.images)), attacked)
    if len(others) < FEWEST or pool.images[0].size > MOST_PIXELS:
        return ()
    chosen = others if label is None else others[pool.labels[others] == label]
    if not len(chosen):
        return ()
    return tuple(chosen[np.linspace(0, len(chosen) - 1, min(MOST_SAMPLED, len(chosen))).astype(int)].tolist())


def named(*samples: Sample) -> str:
    """A hash of samples."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(np.array([len(sample), *sample], dtype=np.int64).tobytes())
    return digest.hexdigest()


@lru_cache(maxsize=16)
def root(pool: ImagePool, common: Sample, own: Sample) -> Array:
    """L `(p, p)`, lower triangular, L L' the covariance of the unit-range pixels of a picture of a label, float64.

    `common`: pictures of all labels; `own`: of its label. Without `common` white, of the data set's own standard
    deviations.
    """
    height, width = pool.images.shape[2:]
    if not common:
        return np.diag(np.repeat(np.array(pool.std, dtype=np.float64), height * width))
    shared = _within_labels(pool, common)
    lower: Array = np.linalg.cholesky(shared if len(own) < 2 else shrunk(_centred(pool, own), shared))
    return lower


@lru_cache(maxsize=1)
def _within_labels(pool: ImagePool, sample: Sample) -> Array:
    """The covariance that labels have in common: of what pictures are beside their label's mean."""
    places, rest = np.array(sample), list[int]()
    rows = []
    for label in np.unique(pool.labels[places]):
        of_label = places[pool.labels[places] == label]
        if len(of_label) > 1:
            rows.append(_centred(pool, tuple(of_label.tolist())))
        else:
            rest += of_label.tolist()
    if rest:  # labels of one picture: as if they were of one kind
        rows.append(_centred(pool, tuple(rest)))
    return shrunk(np.concatenate(rows))


def _centred(pool: ImagePool, sample: Sample) -> Array:
    """Rows `(N, p)`, N from 2 on, less their mean, stretched so that their mean square is the variance without bias."""
    rows = pool.unit(np.array(sample)).reshape(len(sample), -1).astype(np.float64)
    centred: Array = (rows - rows.mean(axis=0)) * math.sqrt(len(rows) / max(1, len(rows) - 1))
    return centred


def shrunk(rows: Array, towards: Array | None = None) -> Array:
    """Ledoit and Wolf's covariance `(p, p)` of centred rows `(N, p)`, by as much as is best on average.

    (1 - r) S + r T, r = min(b^2, d^2) / d^2, d^2 = |S - T|^2, b^2 = sum |x x' - S|^2 / N^2 (2004, lemma 3.4, whose T is
    white: m I, m the mean variance). Never singular where T is not.
    """
    count, size = rows.shape
    covariance: Array = rows.T @ rows / count
    if towards is None:
        mean = float(np.trace(covariance)) / size
        towards = np.diag(np.full(size, mean or 1e-12))  # pictures that are all alike
    norm = float(np.square(covariance).sum())
    off = float(np.square(covariance - towards).sum())
    error = (float(np.square(np.square(rows).sum(axis=1)).sum()) / count - norm) / count
    share = min(1.0, max(error / off, 1e-9)) if off > 0 else 1.0
    covariance *= 1 - share
    covariance += share * towards
    return covariance
