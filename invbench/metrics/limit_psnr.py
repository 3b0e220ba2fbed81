"""How far an unbiased attacker can get: the Cramer-Rao bound of the pixels, as PSNR."""

from __future__ import annotations

import numpy as np

from invbench.metrics._images import Floats
from invbench.metrics._information import Information, decibels
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def limit_psnr(information: Information) -> Floats:
    """10 log10(d / tr (J'J / s^2)^-1) of a batch, `(1,)`; NaN where J has not full rank.

    No estimate whose mean is the truth has a smaller mean squared error (Cramer 1946; Rao 1945). One that is biased,
    as by a prior or by keeping within [0, 1], can have.
    """
    return np.array([decibels(information.unbiased_error())])


METRIC = Metric(
    column=Column(
        "limit_psnr",
        "PSNR of the least mean squared error of any unbiased attacker (Cramer-Rao), where the update is noisy",
        better="lower",
        unit="dB",
        decimals=2,
        tolerance=0.5,
        role="limit",
        title="unbiased limit",
    ),
    games=("update",),
    inputs=("information",),
    values=limit_psnr,
)
