"""How many pictures of a batch the attack returned."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def recovered(returned: npt.NDArray[np.bool_]) -> Floats:
    """1 for each picture of the batch that a returned one was matched with, else 0, `(B,)`."""
    return returned.astype(np.float64)


METRIC = Metric(
    column=Column("recovered", "share of the batch that the attack returned a picture for", least=0.0, most=1.0),
    games=("update",),
    inputs=("returned",),
    values=recovered,
)
