"""Of how many rounds it is known whether a client took part (Lam et al. 2021, arXiv 2106.06089)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric

Matrix = npt.NDArray[np.bool_]


def rounds_right(guessed_participation: Matrix, participation: Matrix) -> Floats:
    """The share of right entries of each column of the participation matrices `(T, n)`, `(n,)`."""
    return np.asarray((guessed_participation == participation).mean(axis=0), dtype=np.float64)


METRIC = Metric(
    column=Column(
        "rounds_right",
        "share of rounds of which it is told rightly whether a client took part",
        margin=0.02,
        title="rounds right",
        least=0.0,
        most=1.0,
    ),
    games=("participation",),
    inputs=("guessed_participation", "participation"),
    values=rounds_right,
)
