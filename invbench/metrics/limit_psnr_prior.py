"""How far an attacker with a Gaussian prior can get: the linear-Gaussian bound at the truth, as PSNR."""

from __future__ import annotations

import numpy as np

from invbench.metrics._images import Floats
from invbench.metrics._information import Information, decibels
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def limit_psnr_prior(information: Information) -> Floats:
    """10 log10(d / tr (J'J / s^2 + S^-1)^-1) of a batch, `(1,)`, S the prior's covariance.

    If pictures are drawn from N(m, S) and the update is linear in them, no estimate, biased or not, has a smaller mean
    squared error over pictures and noise, and the posterior mean has this one. A network is not linear and
    photographs are not Gaussian: J is taken at the true pictures alone (van Trees' bound, which holds for any network,
    averages J'J over the prior and is weaker), so an attack may come out above, and the report says so. Pictures end at
    0 and 1: clamping the posterior mean itself takes it 1.9 dB above on four digits at noise 1e-4 (55 % of the pixels
    are at an end), and one draw of noise on four pictures lies from 1.4 dB below that to 1.5 above it (5 to 95 % of
    4,000 draws).
    """
    return np.array([decibels(information.prior_error()[0])])


METRIC = Metric(
    column=Column(
        "limit_psnr_prior",
        "PSNR of the least mean squared error with a Gaussian prior fitted on other pictures, were the update linear",
        better="lower",
        unit="dB",
        decimals=2,
        tolerance=0.5,
        role="limit",
        title="limit with prior",
    ),
    games=("update",),
    inputs=("information",),
    values=limit_psnr_prior,
)
