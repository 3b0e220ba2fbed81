"""Epsilon of noisy descent: on Poisson batches by Opacus' accountants, without sampling exactly; the noise for one.

`rdp`: Renyi differential privacy of the subsampled Gaussian mechanism (Mironov et al. 2019, arXiv 1908.10530).
`prv`: the distribution of privacy losses, convolved numerically (Gopi et al. 2021, arXiv 2106.02848); what it gives is
the upper end of its own error, 0.01. Neighbours differ by one example added or removed. The Gaussian approximation
(`gdp`) is not offered: it can state too little. Where every step sees every example, T steps with noise multiplier
sigma are one Gaussian mechanism of distance sqrt(T) / sigma, whose epsilon is exact (Balle and Wang 2018, 1805.06530).
"""

from __future__ import annotations

import importlib
import math
import warnings
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Literal

from scipy.special import log_ndtr, ndtr  # type: ignore[import-untyped]

Accountant = Literal["rdp", "prv"]

NOT_INSTALLED = "an epsilon is computed by the package opacus, which is not installed: pip install 'invbench[dp]'"
LARGEST = 100.0
"""Epsilon of RDP above which PRV is not asked: it takes minutes, and neither says anything of privacy."""
MOST_STEPS = 10**7
"""Above which PRV is not asked: its grid grows with their root, to 5 GB and many minutes at 2^31."""
MOST_NOISE, LEAST_NOISE = 1e4, 0.05
CLOSE = 1e-3
"""How far above the least noise the one that is found may be."""
FURTHEST = 30.0
"""Standard deviations between two means above which an epsilon (above 450) says nothing."""
LONGEST_TAIL = 39.0
"""Standard deviations beyond which a normal tail is 0 in float64: no delta that a number can hold lies further out."""
NO_NOISE = 1e-6
"""Noise multiplier below which the epsilon of one step, above 1e11, says nothing."""
ORDERS = (*(1 + tenths / 10 for tenths in range(1, 100)), *range(12, 64))
"""Orders at which Opacus' `rdp` is asked."""
PRV_ERROR = 0.01
"""What Opacus' `prv` adds to every epsilon, its own error."""


def installed() -> bool:
    """Whether epsilons can be computed here."""
    return find_spec("opacus") is not None


@lru_cache(maxsize=256)
def epsilon_of(noise: float, rate: float, steps: int, delta: float, accountant: Accountant) -> tuple[float, Accountant]:
    """Epsilon at `delta` of `steps` steps with this noise multiplier, and the accountant whose it is.

    An example is drawn with probability `rate`. PRV gives way to RDP where it cannot compute. Infinite below
    `NO_NOISE`, where accountants divide by 0. ModuleNotFoundError without Opacus.
    """
    if noise < NO_NOISE:
        return math.inf, "rdp"
    bound = _asked("RDPAccountant", noise, rate, steps, delta)
    if accountant == "rdp" or bound > LARGEST or steps > MOST_STEPS:
        return bound, "rdp"
    try:
        return _asked("PRVAccountant", noise, rate, steps, delta), accountant
    except ValueError:  # at a delta of 1e-15 its convolution says that rounding dominates
        return bound, "rdp"


@lru_cache(maxsize=256)
def least_noise(epsilon: float, rate: float, steps: int, delta: float, accountant: Accountant) -> float:
    """The least noise multiplier, up to a thousandth, that gives no more than this epsilon.

    ValueError where none does: the accountants' own epsilon of a lot of noise is not 0.
    """

    def above(log_noise: float) -> float:
        return epsilon_of(math.exp(log_noise), rate, steps, delta, accountant)[0] - epsilon

    low, high = math.log(LEAST_NOISE), math.log(MOST_NOISE)
    if (left := above(high)) > 0:
        raise ValueError(f"epsilon {epsilon:g} is below {left + epsilon:.3g}, what {accountant} says of any noise")
    if above(low) <= 0:
        return LEAST_NOISE
    while high - low > CLOSE:
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle) > 0 else (low, middle)
    return math.exp(high)


def least_epsilon(delta: float, accountant: Accountant) -> float:
    """What the accountant says of any noise, however much: no epsilon at or below it is within its reach."""
    if accountant == "prv":
        return PRV_ERROR
    # Of a loss of 0 at order a (Canonne et al. 2020, arXiv 2004.00010, proposition 12).
    return float(max(0.0, min(math.log1p(-1 / a) - (math.log(delta) + math.log(a)) / (a - 1) for a in ORDERS)))


def gaussian_delta(epsilon: float, distance: float) -> float:
    """Delta at `epsilon` of the Gaussian mechanism whose means are `distance` standard deviations apart.

    Phi(d/2 - e/d) - exp(e) Phi(-d/2 - e/d) (Balle and Wang 2018, theorem 8).
    """
    first = float(ndtr(distance / 2 - epsilon / distance))
    return first - math.exp(epsilon + float(log_ndtr(-distance / 2 - epsilon / distance)))


def gaussian_epsilon(distance: float, delta: float) -> float:
    """Epsilon at `delta` of that mechanism, from above to 1e-9 of itself; infinite beyond `FURTHEST`."""
    if distance > FURTHEST:
        return math.inf
    if gaussian_delta(0.0, distance) <= delta:
        return 0.0
    low, high = 0.0, distance**2 / 2 + distance * LONGEST_TAIL
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if gaussian_delta(middle, distance) > delta else (low, middle)
    return high


def gaussian_distance(epsilon: float, delta: float) -> float:
    """The largest distance, in standard deviations, at which the Gaussian mechanism has this epsilon at `delta`."""
    low, high = 0.0, FURTHEST
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if gaussian_delta(epsilon, middle) <= delta else (low, middle)
    return low


def _asked(accountant: str, noise: float, rate: float, steps: int, delta: float) -> float:
    accountants: Any = importlib.import_module("opacus.accountants")
    asked = getattr(accountants, accountant)()
    asked.history = [(noise, rate, steps)]
    with warnings.catch_warnings():  # of orders at an end of the list, of divisions in a tail: the bounds hold
        warnings.simplefilter("ignore")
        return float(asked.get_epsilon(delta))
