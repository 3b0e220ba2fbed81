"""How sure the attacked model is of the class asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def confidence(victim: Floats, asked: npt.NDArray[np.integer[Any]]) -> Floats:
    """The probability of the class asked, `(N,)`. `victim`: the attacked model's, `(N, K)`, in the answers."""
    return np.asarray(victim[np.arange(len(victim)), asked], dtype=np.float64)


METRIC = Metric(
    column=Column(
        "confidence",
        "the attacked model's own confidence that the answer is of the class asked, before any defence",
        least=0.0,
        most=1.0,
    ),
    games=("model",),
    inputs=("victim", "asked"),
    values=confidence,
)
