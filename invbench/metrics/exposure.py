"""How far up a secret stands among all that it could be."""

from __future__ import annotations

import numpy as np

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def exposure(share: Floats) -> Floats:
    """log2 |R| - log2 rank, in bits, `(N,)` (Carlini et al. 2019, arXiv 1802.08232, definition 1).

    `share` `(N,)`: rank / |R|, how many of the possible secrets score at least as high as the true one, itself
    among them; or the probability of that under a distribution of scores. NaN where it is NaN or not above 0.
    A secret that was never seen has a uniform rank: log2 e = 1.44 bits on average.
    """
    if np.any(share > 1):
        raise ValueError(f"a share is at most 1, not {float(np.max(share))}")
    return -np.log2(np.where(share > 0, share, np.nan))


METRIC = Metric(
    column=Column(
        "exposure",
        "log2 of how many secrets there are, less log2 of the true one's rank; 1.44 on average where it was never seen",
        unit="bits",
        decimals=2,
        tolerance=0.5,
        margin=1.0,
        least=0.0,
    ),
    games=("extraction",),
    inputs=("share",),
    values=exposure,
)
