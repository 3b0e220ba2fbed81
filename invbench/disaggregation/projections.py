"""Columns of zeros and ones that lie in a subspace, sought by projections on the one set and on the other.

The paper leaves the integer programme to a commercial solver. Here it is tried first as a feasibility problem, for all
clients at once: the Douglas-Rachford iteration x <- x + P_U(2 P_C(x) - x) - P_C(x), where P_U projects on the subspace
and P_C on the columns with the right counts. On sets that are not convex it is a search (the difference map with
beta = 1: Elser, Rankenburg and Thibault 2007, PNAS 104, 418-423): it does not stay in local minima as plain alternating
projections do.
"""

from __future__ import annotations

import numpy as np

from invbench.disaggregation.counts import Counts, Floats
from invbench.disaggregation.subspace import Subspace


def searched(space: Subspace, counts: Counts, start: Floats, iterations: int, enough: float) -> Floats:
    """For each client the column with the least misfit that the iteration came by, `(T, n)`.

    `start` `(T, n)`. A client whose misfit is below `enough` is done.
    """
    best = counts.nearest(start)
    least = space.misfit(best)
    left = np.flatnonzero(least >= enough)
    state = start[:, left].copy()
    for _ in range(iterations):
        if not len(left):
            break
        here = counts.of(left).nearest(state)
        inside = space.project(here)
        misfit = np.square(here - inside).sum(axis=0)
        better = misfit < least[left]
        best[:, left[better]], least[left[better]] = here[:, better], misfit[better]
        state += 2 * inside - space.project(state) - here
        going = least[left] >= enough
        left, state = left[going], state[:, going]
    return best


def linear_start(space: Subspace, counts: Counts) -> Floats:
    """The shortest columns in the subspace that have the right counts, without regard to zeros and ones, `(T, n)`.

    Exact where there are at least as many windows as directions.
    """
    coordinates = np.linalg.lstsq(counts.sums() @ space.basis, counts.values.astype(np.float64), rcond=None)[0]
    found: Floats = space.basis @ coordinates
    return found
