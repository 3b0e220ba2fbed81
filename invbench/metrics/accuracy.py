"""How often the likeliest class is the true one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def accuracy(probabilities: Floats, truth: npt.NDArray[np.integer[Any]]) -> Floats:
    """1 for each right answer, else 0, `(N,)`. `probabilities`: `(N, K)`; of equal ones the first class counts."""
    return np.asarray(probabilities.argmax(axis=1) == truth, dtype=np.float64)


METRIC = Metric(
    column=Column("accuracy", "share of people whose sensitive attribute is guessed right", least=0.0, most=1.0),
    games=("attribute", "update-attribute"),
    inputs=("probabilities", "truth"),
    values=accuracy,
)
