"""Each client's own update, once it is known who took part."""

from __future__ import annotations

import numpy as np

from invbench.disaggregation.counts import Floats


def individual(sums: Floats, participation: Floats) -> Floats:
    """Each client's mean update `(n, d)`: what it is expected to be, were updates normal around their mean.

    Least squares of A = P G, the paper's, are exact where nothing else is in the sums, and have no bound on their error
    where noise is. So G = 1 g' + D is sought, g the mean of all updates, with a penalty l |D|^2, where l = s^2 / v is
    the variance of what P leaves of the sums beside that of updates around their mean, both counted here (Robbins 1956:
    empirical Bayes).
    """
    rounds, length = sums.shape
    there = participation.sum()
    mean = sums.sum(axis=0) / max(there, 1.0)
    rest = sums - participation.sum(axis=1)[:, None] * mean
    gram = participation.T @ participation
    inverse = np.linalg.pinv(gram, hermitian=True)
    apart = inverse @ (participation.T @ rest)
    free = max(rounds - int(np.linalg.matrix_rank(participation)), 1)
    noise = float(np.square(rest - participation @ apart).sum()) / (free * length)
    spread = float(np.square(apart).mean()) - noise * float(np.trace(inverse)) / len(gram)
    if spread <= 0:
        return np.broadcast_to(mean, apart.shape).copy()
    found: Floats = mean + np.linalg.pinv(gram + noise / spread * np.eye(len(gram)), hermitian=True) @ (
        participation.T @ rest
    )
    return found
