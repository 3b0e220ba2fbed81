"""How far the update that is recovered of a client is from its own."""

from __future__ import annotations

import numpy as np

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def update_error(recovered_updates: Floats, own_updates: Floats) -> Floats:
    """|u' - u| / |u| of each client's update, `(n, d)` both, `(n,)`; NaN where its own is zero."""
    lengths = np.linalg.norm(own_updates, axis=1)
    errors = np.linalg.norm(recovered_updates - own_updates, axis=1)
    return np.where(lengths > 0, errors / np.where(lengths > 0, lengths, 1.0), np.nan)


METRIC = Metric(
    column=Column(
        "update_error",
        "error of a client's recovered update beside its length, without its defences, its mean over its rounds",
        better="lower",
        decimals=4,
        margin=0.05,
        title="update error",
        least=0.0,
    ),
    games=("participation",),
    inputs=("recovered_updates", "own_updates"),
    values=update_error,
)
