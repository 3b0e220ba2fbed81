"""The covariance of a sample that is smaller than its dimension (Ledoit and Wolf 2004)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def shrunk(rows: Floats, towards: Floats | None = None) -> Floats:
    """Ledoit and Wolf's covariance `(p, p)` of centred rows `(N, p)`, by as much as is best on average.

    (1 - r) S + r T, r = min(b^2, d^2) / d^2, d^2 = |S - T|^2, b^2 = sum |x x' - S|^2 / N^2 (2004, lemma 3.4, whose T is
    white: m I, m the mean variance). Never singular where T is not.
    """
    count, size = rows.shape
    covariance: Floats = rows.T @ rows / count
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
