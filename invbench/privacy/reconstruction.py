"""How likely reconstruction is at most (Hayes, Mahloujifar and Balle 2023, arXiv 2302.07225).

A record is one of many; a guess without any observation is right with probability kappa, the prior's largest. Whoever
knows all other records and sees every noisy step is right with probability at most gamma = sup P(E) over events E with
Q(E) <= kappa, Q and P what is seen without the record and with it (theorem 2). By Neyman and Pearson E is where P/Q is
large, and for DP-SGD Q = N(0, s^2) and P = (1 - q) N(0, s^2) + q N(1, s^2) in each step, independently (corollary 3).
Where every step sees the record, gamma = Phi(Phi^-1(kappa) + sqrt(T) / s); else it is estimated from draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri  # type: ignore[import-untyped]

from invbench.core.randomness import numpy_stream
from invbench.privacy import Steps

TRIALS = 20_000
"""Draws of P, and of Q: a standard error of a third of a percent at most."""
HELD = 1 << 21
"""Numbers drawn at a time."""
ERROR = 0.05 / 4
"""Of each of four one-sided intervals, that together cover 95 %."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bound:
    """Gamma and its 95 % interval, which is a point where it is exact."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.value:.4g}"
        return f"{self.value:.4g} (Monte Carlo, 95 % {self.low:.4g} to {self.high:.4g})"


@lru_cache(maxsize=256)
def reconstruction_bound(kappa: float, record: Steps) -> Bound:
    """The most probable reconstruction, for a prior whose likeliest record has probability `kappa`, in (0, 1)."""
    if not 0 < kappa < 1:
        raise ValueError(f"kappa must be above 0 and below 1, not {kappa:g}")
    if record.rate == 1:
        exact = float(ndtr(ndtri(kappa) + math.sqrt(record.steps) / record.noise))
        return Bound(exact, exact, exact)
    from scipy.stats import beta  # type: ignore[import-untyped]  # a second that most runs never need

    without = np.sort(_log_ratios(record, taking_part=False))[::-1]
    own = _log_ratios(record, taking_part=True)

    def shares(place: int) -> tuple[float, float, float]:
        """P(E) and its interval, E where the ratio is at least that of this place among Q's draws, largest first."""
        above = int((own >= without[place - 1]).sum())
        low = float(beta.ppf(ERROR, above, TRIALS - above + 1)) if above else 0.0
        high = float(beta.ppf(1 - ERROR, above + 1, TRIALS - above)) if above < TRIALS else 1.0
        return above / TRIALS, low, high

    # Q(E) of the k-th largest of n draws is a draw of Beta(k, n - k + 1).
    places = np.arange(1, TRIALS + 1)
    at_most = beta.cdf(kappa, places, TRIALS - places + 1)  # P(Q(E) <= kappa), falling in k
    fewest = max(1, int((at_most >= 1 - ERROR).sum()))
    most = min(TRIALS, int((at_most > ERROR).sum()) + 1)
    usual = min(TRIALS, max(1, round(kappa * TRIALS)))
    low = shares(fewest)[1] if at_most[0] >= 1 - ERROR else 0.0
    return Bound(max(kappa, shares(usual)[0]), low, shares(most)[2])


def _log_ratios(record: Steps, *, taking_part: bool) -> Floats:
    """log P/Q of what is seen, over all steps, `(TRIALS,)`: under P where the record takes part, else under Q."""
    drawn = numpy_stream("reconstruction", record.noise, record.rate, record.steps, taking_part)
    found = np.zeros(TRIALS)
    some = max(1, HELD // TRIALS)
    for start in range(0, record.steps, some):
        shape = (min(some, record.steps - start), TRIALS)
        seen = record.noise * drawn.standard_normal(shape)
        if taking_part:
            seen += drawn.random(shape) < record.rate
        exponent = (2 * seen - 1) / (2 * record.noise**2)
        found += np.logaddexp(math.log1p(-record.rate), math.log(record.rate) + exponent).sum(axis=0)
    return found
