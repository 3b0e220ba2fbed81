"""A lower bound on epsilon for whatever mechanism (Steinke, Nasr and Jagielski 2023, arXiv 2305.08846)."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq  # type: ignore[import-untyped]
from scipy.special import expit  # type: ignore[import-untyped]

from invbench.privacy.audit_counts import Counts


def p_value(counts: Counts, epsilon: float, delta: float) -> float:
    """The most probable that so many right guesses are of any (epsilon, delta)-DP mechanism (theorem 5.2).

    With N ~ Binomial(guessed, e^eps / (1 + e^eps)): P(N >= right) + 2 m delta max_i P(right - i <= N < right) / i. The
    second term grows with the number m of canaries: with many, or a large delta, nothing can be shown.
    """
    from scipy.stats import binom  # type: ignore[import-untyped]  # late: it takes a second to load

    share = expit(epsilon)
    above = binom.sf(counts.right - 1, counts.guessed, share)
    behind = np.arange(1, counts.right + 1)
    below = binom.sf(counts.right - behind - 1, counts.guessed, share) - above
    return float(min(above + 2 * counts.canaries * delta * np.max(below / behind, initial=0.0), 1.0))


def rejects(counts: Counts, epsilon: float, delta: float, error: float) -> bool:
    """Whether (epsilon, delta) is refuted, which is wrong with probability at most `error`."""
    from scipy.stats import binom  # late: it takes a second to load

    if binom.sf(counts.right - 1, counts.guessed, expit(epsilon)) > error:  # even at delta 0, which is cheap to know
        return False
    return p_value(counts, epsilon, delta) < error


def epsilon_above(counts: Counts, delta: float, error: float, least: float = 0.0) -> float:
    """The epsilon up to which everything is refuted at this delta; `least` where not even that is."""
    if not rejects(counts, least, delta, error):
        return least
    high = max(1.0, 2 * least)
    while rejects(counts, high, delta, error):
        least, high = high, 2 * high
    return float(brentq(lambda e: p_value(counts, e, delta) - error, least, high, xtol=1e-7))
