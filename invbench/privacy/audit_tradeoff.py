"""A lower bound from a trade-off curve (Mahloujifar, Melis and Chaudhuri 2024, arXiv 2410.22235, algorithms 2 and 3).

It refutes that a mechanism's trade-off curve lies on or above that of a member of a family: tighter than a bound on
(epsilon, delta) alone, of which a mechanism has a whole curve.
"""

from __future__ import annotations

from invbench.privacy.audit_counts import Counts
from invbench.privacy.audit_family import MOST, Family

CLOSE = 1e-7


def rejects(counts: Counts, family: Family, parameter: float, error: float) -> bool:
    """Whether so many right guesses are refuted to be of such a mechanism, wrong with probability at most `error`.

    Supposing that they were seen with probability `error`, the recursion goes from `right` down and bounds from below
    the share r of guesses that are right, and h of those that are wrong, that the mechanism then has on average:
    h <- max(h, f^-1(1 - r)), r <- r + i/(guessed - i) (h - h before). More guesses than there are is a contradiction.
    """
    canaries, guessed, right = counts.canaries, counts.guessed, counts.right
    correct, wrong, most = error * right / canaries, error * (guessed - right) / canaries, guessed / canaries
    for left in range(right - 1, -1, -1):
        raised = family.least_false(correct, parameter)
        if raised <= wrong:  # neither changes any more
            break
        correct, wrong = correct + left / (guessed - left) * (raised - wrong), raised
        if correct + wrong > most:
            return True
    return correct + wrong > most


def parameter_above(counts: Counts, family: Family, error: float, least: float = 0.0) -> float:
    """The parameter up to which every member of the family is refuted; `least` where not even that is."""
    if not rejects(counts, family, least, error):
        return least
    low, high = least, min(max(1.0, 2 * least), MOST)
    while rejects(counts, family, high, error):
        if high == MOST:
            return MOST
        low, high = high, min(2 * high, MOST)
    while high - low > CLOSE:
        middle = (low + high) / 2
        low, high = (middle, high) if rejects(counts, family, middle, error) else (low, middle)
    return low
