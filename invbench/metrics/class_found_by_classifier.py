"""Whether another classifier takes an inverted picture for the class that was asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def class_found_by_classifier(classifier: Floats, asked: npt.NDArray[np.integer[Any]]) -> Floats:
    """1 where the classifier's likeliest class is the one asked, else 0, `(N,)`.

    `classifier`: its confidences `(N, K)` in the answers; of equal ones the first class counts.
    """
    return np.asarray(classifier.argmax(axis=1) == asked, dtype=np.float64)


METRIC = Metric(
    column=Column(
        "class_found_by_classifier",
        "share of answers that a separately trained mlp takes for the class asked",
        least=0.0,
        most=1.0,
    ),
    games=("model",),
    inputs=("classifier", "asked"),
    values=class_found_by_classifier,
)
