"""The privacy loss that a cell's defences guarantee (Dwork and Roth 2014, 10.1561/0400000042, definition 2.4)."""

from __future__ import annotations

import numpy as np

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def epsilon(guaranteed: Floats) -> Floats:
    """What `invbench/privacy/` found for the stack `(N,)`; NaN where that is not finite and so promises nothing."""
    return np.where(np.isfinite(guaranteed), guaranteed, np.nan)


METRIC = Metric(
    column=Column(
        "epsilon",
        "privacy loss that the defences guarantee together, at the delta that the notes give; empty where none holds",
        better="lower",
        decimals=3,
        tolerance=1e-3,
        role="limit",
        least=0.0,
    ),
    games=(
        *("update", "membership", "model", "extraction", "informed", "audit", "participation"),
        *("batch-membership", "batch-property", "update-attribute"),
    ),
    inputs=("guaranteed",),
    values=epsilon,
)
