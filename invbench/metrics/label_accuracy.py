"""How many labels of a batch are guessed right."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def label_accuracy(labels: npt.NDArray[np.integer[Any]], true_labels: npt.NDArray[np.integer[Any]]) -> Floats:
    """1 for each right label of a batch, else 0, `(B,)`; NaN where none was guessed.

    A guessed label of -1 is none. Beside others that were guessed it is a wrong one: it is missing with its picture.
    """
    if not (labels >= 0).any():
        return np.full(len(true_labels), np.nan)
    return np.asarray(labels == true_labels, dtype=np.float64)


METRIC = Metric(
    column=Column(
        "label_accuracy",
        "share of the batch's pictures whose label is right in the answer that the picture is matched with",
        least=0.0,
        most=1.0,
    ),
    games=("update",),
    inputs=("labels", "true_labels"),
    values=label_accuracy,
)
