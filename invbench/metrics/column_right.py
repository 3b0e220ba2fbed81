"""Whether all rounds in which a client took part are known, and no other is named."""

from __future__ import annotations

import numpy as np

from invbench.metrics._images import Floats
from invbench.metrics.rounds_right import Matrix
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def column_right(guessed_participation: Matrix, participation: Matrix) -> Floats:
    """1 for each column of the participation matrices `(T, n)` without a mistake, else 0, `(n,)`."""
    return np.asarray((guessed_participation == participation).all(axis=0), dtype=np.float64)


METRIC = Metric(
    column=Column(
        "column_right",
        "share of clients of whom every round is told rightly",
        margin=0.02,
        title="clients exact",
        least=0.0,
        most=1.0,
    ),
    games=("participation",),
    inputs=("guessed_participation", "participation"),
    values=column_right,
)
