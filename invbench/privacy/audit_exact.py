"""The exact distribution of wrong guesses under a family (Xiang et al. 2025, arXiv 2509.08704).

Far tighter than bounds for whatever mechanism, and true for mechanisms of that family alone, whose canaries are
released with noises of their own: a canary that moves another's score is not covered.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq  # type: ignore[import-untyped]

from invbench.privacy.audit_counts import Counts
from invbench.privacy.audit_family import MOST, Family

NODES = 64
"""Of the Gauss-Legendre rule over the quantile: at 256 the bounds change by less than 2e-5."""
LEAST = 1e-6


def tail(counts: Counts, family: Family, parameter: float) -> float:
    """P[T <= wrong], T the wrong ones of the `guessed` likeliest of n canaries.

    The largest |log-likelihood ratio| that is not guessed on has the quantile W ~ Beta(n - r, r + 1), 0 for r = n.
    Given that, the r guesses are wrong independently, each with the mean posterior error g(W) above it:
    E_W Bin(u; r, g(W)).
    """
    from scipy.stats import beta, binom  # type: ignore[import-untyped]  # late: it takes a second to load

    n, r, wrong = counts.canaries, counts.guessed, counts.guessed - counts.right
    if n == r:
        return float(binom.cdf(wrong, r, family.error(parameter, np.zeros(1)))[0])
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    quantile = beta.ppf((nodes + 1) / 2, n - r, r + 1)
    return float(weights / 2 @ binom.cdf(wrong, r, family.error(parameter, quantile)))


def parameter_above(counts: Counts, family: Family, error: float) -> float:
    """The parameter up to which every member of the family is refuted, 0 where none is: the tail grows with it."""
    if not counts.guessed or tail(counts, family, LEAST) > error:
        return 0.0
    if tail(counts, family, MOST) <= error:
        return MOST
    return float(brentq(lambda p: tail(counts, family, p) - error, LEAST, MOST, xtol=1e-9))
