"""How far an unbiased attacker can get by the diagonal of the Fisher information alone (Guo et al. 2022)."""

from __future__ import annotations

import numpy as np

from invbench.metrics._images import Floats
from invbench.metrics._information import Information, decibels
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def limit_psnr_dfil(information: Information) -> Floats:
    """20 log10(eta) of a batch, `(1,)`, with eta^2 = tr(J'J) / (s^2 d): never below the Cramer-Rao limit.

    Guo, Karrer, Chaudhuri and van der Maaten 2022, arXiv 2201.12383: tr(I^-1) >= d^2 / tr(I), so the mean squared error
    of an unbiased attacker is at least 1 / eta^2. It needs no inverse and holds, weakly, where J has not full rank.
    """
    return np.array([-decibels(information.trace / (information.variance * information.pixels))])


METRIC = Metric(
    column=Column(
        "limit_psnr_dfil",
        "PSNR of a bound on unbiased attackers that needs no inverse (diagonal Fisher information leakage)",
        better="lower",
        unit="dB",
        decimals=2,
        tolerance=0.5,
        role="limit",
        title="dFIL limit",
    ),
    games=("update",),
    inputs=("information",),
    values=limit_psnr_dfil,
)
