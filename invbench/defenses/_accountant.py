"""Epsilon of noisy descent on Poisson batches, by Opacus' accountants, and the least noise for an epsilon.

`rdp`: Renyi differential privacy of the subsampled Gaussian mechanism (Mironov et al. 2019, arXiv 1908.10530).
`prv`: the distribution of privacy losses, convolved numerically (Gopi et al. 2021, arXiv 2106.02848); what it gives is
the upper end of its own error, 0.01. Neighbours differ by one example added or removed. The Gaussian approximation
(`gdp`) is not offered: it can state too little.
"""

from __future__ import annotations

import importlib
import math
import warnings
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Literal

Accountant = Literal["rdp", "prv"]

NOT_INSTALLED = "an epsilon is computed by the package opacus, which is not installed: pip install 'invbench[dp]'"
LARGEST = 100.0
"""Epsilon of RDP above which PRV is not asked: it takes minutes, and neither says anything of privacy."""
MOST_NOISE, LEAST_NOISE = 1e4, 0.05
CLOSE = 1e-3
"""How far above the least noise the one that is found may be."""


def installed() -> bool:
    """Whether epsilons can be computed here."""
    return find_spec("opacus") is not None


@lru_cache(maxsize=256)
def epsilon_of(noise: float, rate: float, steps: int, delta: float, accountant: Accountant) -> tuple[float, Accountant]:
    """Epsilon at `delta` of `steps` steps with this noise multiplier, and the accountant whose it is.

    An example is drawn with probability `rate`. ModuleNotFoundError without Opacus.
    """
    bound = _asked("RDPAccountant", noise, rate, steps, delta)
    if accountant == "rdp" or bound > LARGEST:
        return bound, "rdp"
    return _asked("PRVAccountant", noise, rate, steps, delta), accountant


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


def _asked(accountant: str, noise: float, rate: float, steps: int, delta: float) -> float:
    accountants: Any = importlib.import_module("opacus.accountants")
    asked = getattr(accountants, accountant)()
    asked.history = [(noise, rate, steps)]
    with warnings.catch_warnings():  # of orders at an end of the list, of divisions in a tail: the bounds hold
        warnings.simplefilter("ignore")
        return float(asked.get_epsilon(delta))
