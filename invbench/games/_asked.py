"""Who is asked about in each round of game `batch-membership`: its members, as many others, the attacker's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from invbench.cell import Cell
from invbench.core.randomness import numpy_stream
from invbench.games._batches import pictures_of, protocol_of, target_pool, wanted_of
from invbench.games._candidates import different
from invbench.scoring.reconstruction import Truth
from invbench.victims import Indexes, model_of, pool_of


@dataclass(frozen=True, eq=False)
class Asked:
    """Indexes of one round's pictures. `batch`: of all clients, client by client, as they compute.

    `candidates` `(2B,)`, in the data set's order, which says nothing; `member` `(2B,)`: which of them are behind what
    the server sees.
    """

    batch: Indexes
    candidates: Indexes
    member: npt.NDArray[np.bool_]


def own_pictures(cell: Cell) -> Indexes:
    """The attacker's own, `public` of them at most: never a candidate of any round, never trained on by the victim.

    First come pictures that no cell of updates attacks, then those that it may. The same for all seeds.
    """
    pool, count = pool_of(cell), protocol_of(cell).public
    askable = _askable(cell)
    never = pool.train if model_of(cell).trained else np.zeros(0, dtype=np.int64)
    drawn = numpy_stream("attacker's own of rounds", cell.data_hash)
    apart = np.setdiff1d(different(pool), np.union1d(askable, never))
    return np.concatenate([drawn.permutation(apart), drawn.permutation(askable)])[:count]


def places_of(cell: Cell) -> Indexes:
    """The pictures that can be candidates: those that can be attacked, without the attacker's own and copies."""
    return np.setdiff1d(_askable(cell), own_pictures(cell))


def asked_in_a_round(cell: Cell) -> int:
    """How many pictures a round takes: those of all clients, and as many others as the server sees."""
    return pictures_of(cell) + wanted_of(cell)


def asked_of(cell: Cell, number: int) -> Asked:
    """Round `number`. Rounds share no picture until all have been asked about; then the pictures are dealt anew."""
    places, size = places_of(cell), asked_in_a_round(cell)
    deal, place = divmod(number, len(places) // size)
    order = numpy_stream("asked", cell.seed, cell.data_hash, deal).permutation(places)
    drawn = order[place * size : (place + 1) * size]
    batch, others = drawn[: pictures_of(cell)], drawn[pictures_of(cell) :]
    members = batch[: wanted_of(cell)]
    candidates = np.sort(np.concatenate([members, others]))
    return Asked(batch, candidates, np.isin(candidates, members))


def batch_of(cell: Cell, asked: Asked) -> Truth:
    """The pictures of a round's clients, as game `update` has them."""
    pool = pool_of(cell)
    return Truth(pool.unit(asked.batch), pool.labels[asked.batch], np.arange(len(asked.batch)), asked.batch)


def _askable(cell: Cell) -> Indexes:
    pool = pool_of(cell)
    return np.intersect1d(target_pool(cell, pool), different(pool))
