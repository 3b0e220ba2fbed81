"""Whether the right one of several candidates is named (Hayes et al. 2023, arXiv 2302.07225, section 4)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def matched(candidate_scores: Floats, secret: npt.NDArray[np.int64]) -> Floats:
    """1 where the secret candidate's score is above all others', else 0, `(N,)`.

    `candidate_scores` `(N, K)`, `secret` `(N,)`. A tie counts against the attack: who tells none apart has 0.
    """
    own = np.take_along_axis(candidate_scores, secret[:, None], axis=1)
    others = np.where(np.arange(candidate_scores.shape[1]) == secret[:, None], -np.inf, candidate_scores)
    return np.asarray(own[:, 0] > others.max(axis=1), dtype=np.float64)


METRIC = Metric(
    column=Column(
        "matched",
        "share of trainings of which the candidate that was used is named",
        margin=0.05,
        least=0.0,
        most=1.0,
    ),
    games=("informed",),
    inputs=("candidate_scores", "secret"),
    values=matched,
)
