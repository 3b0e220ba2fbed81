"""One client's column by a mixed-integer programme: the paper's, with absolute values in place of squares."""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp  # type: ignore[import-untyped]

from invbench.disaggregation.counts import Counts, Floats
from invbench.disaggregation.subspace import Subspace


def solved(space: Subspace, counts: Counts, client: int, nodes: int) -> tuple[Floats | None, bool]:
    """The column `(T,)` of zeros and ones with this client's counts and the least |N' x|_1, and whether that is proven.

    N `(T, q)` spans what is outside of the subspace: x - e+ + e- = 0 there, and e+ + e- is what is made small. HiGHS
    (Huangfu and Hall 2018) solves linear programmes alone; Lam et al. minimise |N' x|^2 with Gurobi. Without noise both
    are 0 at the same columns. The relaxation to [0, 1] is its root node. `nodes`: of branch and bound at most, not
    seconds, so that every machine gives the same answer; None where none of them held a whole column.
    """
    complete, rounds = np.linalg.qr(space.basis, mode="complete")[0], counts.rounds
    outside = complete[:, space.rank :].T  # (q, T)
    sums = counts.sums()
    kept = len(outside)
    equations = np.block(
        [
            [outside, np.eye(kept), -np.eye(kept)],
            [sums, np.zeros((len(sums), 2 * kept))],
        ]
    )
    right = np.concatenate([np.zeros(kept), counts.values[:, client]])
    weights = np.concatenate([np.zeros(rounds), np.ones(2 * kept)])
    whole = np.concatenate([np.ones(rounds), np.zeros(2 * kept)])
    upper = np.concatenate([np.ones(rounds), np.full(2 * kept, np.inf)])
    result = milp(
        weights,
        integrality=whole,
        bounds=Bounds(0, upper),
        constraints=LinearConstraint(equations, right, right),
        options={"node_limit": nodes},
    )
    if result.x is None:
        return None, False
    column: Floats = np.round(result.x[:rounds])
    return column, bool(result.status == 0)
