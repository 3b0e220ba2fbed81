"""How many of a batch's labels an attack reads, whichever picture each belongs to."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def label_overlap(read_labels: npt.NDArray[np.integer[Any]], true_labels: npt.NDArray[np.integer[Any]]) -> Floats:
    """The overlap of two multisets: 1 for each true label that one read is left for, else 0, `(B,)`.

    The mean is sum_k min(read_k, true_k) / B. A read label of -1 is none; NaN where none was read.
    """
    left = Counter(read_labels[read_labels >= 0].tolist())
    if not left:
        return np.full(len(true_labels), np.nan)
    found = np.zeros(len(true_labels))
    for place, label in enumerate(true_labels.tolist()):
        if left[label] > 0:
            left[label] -= 1
            found[place] = 1.0
    return found


METRIC = Metric(
    column=Column(
        "label_overlap",
        "share of the batch's labels that are read, in whatever order; empty where the protocol grants labels",
        least=0.0,
        most=1.0,
    ),
    games=("update",),
    inputs=("read_labels", "true_labels"),
    values=label_overlap,
)
