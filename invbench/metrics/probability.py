"""How probable it is that a model says a secret when it is prompted with the words before it."""

from __future__ import annotations

import numpy as np

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def probability(log_probabilities: Floats) -> Floats:
    """p of one query, `(N,)`: the exponential of the secret's log-probability under the sampling, in nats.

    Hayes et al. 2024, arXiv 2410.19482, section 3: a secret is (n, p)-discoverable where n queries say it with
    probability at least p, 1 - (1 - p_query)^n >= p (`queries_for`).
    """
    return np.exp(np.asarray(log_probabilities, dtype=np.float64))


def queries_for(probability: Floats, wanted: float) -> Floats:
    """The fewest queries that say a secret at least once with the wanted probability; infinite where p is 0.

    n = log(1 - wanted) / log(1 - p), rounded up, at least 1.
    """
    p = np.asarray(probability, dtype=np.float64)
    with np.errstate(divide="ignore"):
        needed = np.log1p(-wanted) / np.log1p(-p)
    return np.where(p > 0, np.maximum(np.ceil(needed), 1.0), np.inf)


METRIC = Metric(
    column=Column(
        "probability",
        "probability that one query, prompted with the words before a secret, says it; computed from the logits",
        decimals=5,
        least=0.0,
        most=1.0,
    ),
    games=("extraction",),
    inputs=("log_probabilities",),
    values=probability,
)
