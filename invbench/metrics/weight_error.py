"""How far stolen weights of a softmax regression are from the model's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric

Weights = Mapping[str, Floats]


def weight_error(stolen: Sequence[Weights | None], weights: Weights) -> Floats:
    """Largest absolute difference over all weights and biases, by answer; NaN where nothing was stolen.

    Softmax does not see a number that is added to all classes: each row of weights counts less its mean over classes.
    """
    own = {name: values - values.mean(axis=0) for name, values in weights.items()}
    return np.array([_largest(one, own) for one in stolen], dtype=np.float64)


def _largest(stolen: Weights | None, own: Weights) -> float:
    if stolen is None or stolen.keys() != own.keys():
        return float("nan")
    return max(float(np.abs(stolen[name] - stolen[name].mean(axis=0) - own[name]).max()) for name in own)


METRIC = Metric(
    column=Column(
        "weight_error",
        "largest error of a stolen weight or bias, up to what softmax adds to all classes alike",
        better="lower",
        decimals=6,
        tolerance=1e-3,
        least=0.0,
    ),
    games=("model",),
    inputs=("stolen", "weights"),
    values=weight_error,
)
