"""How far the released model's own predictions are from the truth: what a defence of the model costs."""

from __future__ import annotations

import numpy as np

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def error(errors: Floats) -> Floats:
    """The errors of the model's predictions of people, `(N,)`; NaN where it makes none."""
    return np.asarray(errors, dtype=np.float64)


METRIC = Metric(
    column=Column(
        "error",
        "mean absolute error of the released model's predictions, in the target's own unit; of a label 1 where wrong",
        better="lower",
        role="cost",
        least=0.0,
    ),
    games=("attribute",),
    inputs=("errors",),
    values=error,
)
