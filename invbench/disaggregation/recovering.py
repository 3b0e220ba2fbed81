"""The whole of it: the participation matrix from sums and counts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from invbench.disaggregation.counts import Counts, Floats, Whole
from invbench.disaggregation.integer import solved
from invbench.disaggregation.projections import linear_start, searched
from invbench.disaggregation.subspace import Subspace, subspace
from invbench.disaggregation.swaps import swapped

EXPLAINED = 0.25
"""Of what one wrong swap adds on average: a column whose misfit is below that is taken for found."""
BELIEVED = 3.0
"""Standard deviations below the misfit that a search finds in a random subspace. One more than usual: that one has one
start, the other several."""


@dataclass(frozen=True, eq=False)
class Recovered:
    """`participation` `(T, n)` of zeros and ones; `misfit` `(n,)`: the objective of each column that was found.

    `explained` `(n,)`: whose misfit is far below what one wrong swap adds. `believed` `(n,)`: these, and whose misfit
    is below what chance finds; of the others `participation` is the likelier for each round by the counts alone.
    `programmes`: how many columns went to the integer programme, `proven`: how many of those it proved best.
    """

    participation: Floats
    misfit: Floats
    explained: npt.NDArray[np.bool_]
    believed: npt.NDArray[np.bool_]
    rank: int
    programmes: int = 0
    proven: int = 0


@dataclass(frozen=True, kw_only=True)
class Search:
    """How long columns are looked for: `iterations` of projections from each start, of which `restarts` are random.

    `nodes`: of branch and bound for a column that still does not fit (0: no programme). It is asked where most columns
    fit: where noise leaves a misfit to all, none can be proven, and one of 128 rounds takes over ten seconds.
    """

    iterations: int
    restarts: int
    nodes: int


def recovered(
    sums: Floats, counts: Counts, summed: int, ranks: tuple[int, ...], search: Search, draws: np.random.Generator
) -> Recovered:
    """From `sums` `(T, d)`, each of `summed` clients, by the first of `ranks` by which most columns fit.

    A model that moves adds directions: with too few of them nobody's column is in the space, with too many everybody's.
    """
    best: Recovered | None = None
    for rank in ranks:
        found = _of_rank(subspace(sums, rank), counts, summed, search, draws)
        if best is None or _fits(found) > _fits(best):
            best = found
        if best.explained.all():
            break
    assert best is not None
    return best if best.believed.all() else _likelier(best, counts)


def _fits(found: Recovered) -> tuple[int, int]:
    return int(found.explained.sum()), int(found.believed.sum())


def _of_rank(space: Subspace, counts: Counts, summed: int, search: Search, draws: np.random.Generator) -> Recovered:
    """Of several columns of a client the one with the least misfit.

    Starts: the linear solution; for the columns that do not fit, an even share of what those that fit leave of each
    round's number of clients; then random ones.
    """
    enough = EXPLAINED * space.swap
    best = swapped(space, counts, searched(space, counts, linear_start(space, counts), search.iterations, enough))
    misfit = space.misfit(best)
    for number in range(search.restarts + 1):
        left = np.flatnonzero(misfit >= enough)
        if not len(left):
            break
        if number:
            start = draws.random((counts.rounds, len(left)))
        else:
            open_places = summed - best[:, misfit < enough].sum(axis=1)
            start = np.repeat(open_places[:, None] / len(left), len(left), axis=1)
        few = counts.of(left)
        _keep(space, best, misfit, left, swapped(space, few, searched(space, few, start, search.iterations, enough)))
    left = np.flatnonzero(misfit >= enough)
    asked = left if search.nodes and 2 * len(left) <= len(misfit) else left[:0]
    proven = 0
    for client in asked:
        column, sure = solved(space, counts, int(client), search.nodes)
        proven += sure
        if column is not None:
            one = np.array([client])
            _keep(space, best, misfit, one, swapped(space, counts.of(one), column[:, None]))
    explained = misfit < enough
    believed = explained if explained.all() else explained | _above_chance(space, counts, misfit, search, draws)
    return Recovered(best, misfit, explained, believed, space.rank, len(asked), proven)


def _keep(space: Subspace, best: Floats, misfit: Floats, clients: Whole, found: Floats) -> None:
    """Put columns of some clients in the place of worse ones."""
    theirs = space.misfit(found)
    better = theirs < misfit[clients]
    best[:, clients[better]], misfit[clients[better]] = found[:, better], theirs[better]


def _above_chance(
    space: Subspace, counts: Counts, misfit: Floats, search: Search, draws: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Whose misfit is below what the search finds for the same counts in a random subspace of the same rank.

    Each beside the variance that its counts leave to its column, sum of c (1 - c / s) over windows.
    """
    basis = np.linalg.qr(draws.normal(size=space.basis.shape))[0]
    chance = replace(space, basis=basis)
    none = swapped(chance, counts, searched(chance, counts, linear_start(chance, counts), search.iterations, 0.0))
    left = np.maximum((counts.values * (1 - counts.values / counts.lengths()[:, None])).sum(axis=0), 1e-9)
    usual = chance.misfit(none) / left
    below: npt.NDArray[np.bool_] = misfit / left < usual.mean() - BELIEVED * usual.std()
    return below


def _likelier(found: Recovered, counts: Counts) -> Recovered:
    """The same, where nothing is believed of a client with what its counts alone make likelier for each round."""
    likely = counts.sums().T @ (2 * counts.values > counts.lengths()[:, None])
    return replace(found, participation=np.where(found.believed, found.participation, likely))
