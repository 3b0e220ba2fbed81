"""Columns made better by moving one participation at a time within its window, which keeps the counts."""

from __future__ import annotations

import numpy as np

from invbench.disaggregation.counts import Counts, Floats
from invbench.disaggregation.subspace import Subspace


def swapped(space: Subspace, counts: Counts, columns: Floats, most: int = 200) -> Floats:
    """Each column `(T, n)` after the best swap again and again, until none lowers its misfit, at most `most` times.

    With M = I - U U' and g = M x, moving a one from round i to round j adds 2 (g_j - g_i) + M_ii + M_jj - 2 M_ij.
    """
    outside = space.outside()
    starts = range(0, counts.rounds, counts.window)
    windows = [slice(first, min(first + counts.window, counts.rounds)) for first in starts]
    pairs = [_pairs(outside[one, one]) for one in windows]
    found = columns.copy()
    for column in found.T:  # a view: changed in place
        for _ in range(most):
            slope = outside @ column
            best, where = 0.0, None
            for window, pair in zip(windows, pairs, strict=True):
                here, g = column[window], slope[window]
                ones, zeros = np.flatnonzero(here == 1), np.flatnonzero(here == 0)
                if not len(ones) or not len(zeros):
                    continue
                change = 2 * (g[zeros][None] - g[ones][:, None]) + pair[np.ix_(ones, zeros)]
                place = int(change.argmin())
                if change.flat[place] < best - 1e-12:
                    i, j = divmod(place, len(zeros))
                    best, where = float(change.flat[place]), (window.start + ones[i], window.start + zeros[j])
            if where is None:
                break
            column[where[0]], column[where[1]] = 0.0, 1.0
    return found


def _pairs(block: Floats) -> Floats:
    """M_ii + M_jj - 2 M_ij of a window's rounds."""
    own = np.diagonal(block)
    found: Floats = own[:, None] + own[None] - 2 * block
    return found
