"""The covariance of a sample that is smaller than its dimension (Ledoit and Wolf 2004)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def shrunk(rows: Floats) -> Floats:
    """Ledoit and Wolf's covariance `(p, p)` of centred rows `(N, p)`; never singular.

    (1 - r) S + r m I, m the mean variance, r = min(b^2, d^2) / d^2, d^2 = |S - m I|^2, b^2 = sum |x x' - S|^2 / N^2: as
    much towards white as is best on average (lemma 3.4).
    """
    count, size = rows.shape
    covariance: Floats = rows.T @ rows / count
    mean = float(np.trace(covariance)) / size
    mean = mean or 1e-12  # pictures that are all alike
    norm = float(np.square(covariance).sum())
    off = norm - size * mean**2
    error = (float(np.square(np.square(rows).sum(axis=1)).sum()) / count - norm) / count
    share = min(1.0, max(error / off, 1e-9)) if off > 0 else 1.0
    covariance *= 1 - share
    covariance[np.diag_indices(size)] += share * mean
    return covariance
