"""Who may be a member: the pictures of a cell of game `membership`, dealt out by its seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import numpy as np

from invbench.cell import Cell
from invbench.core.randomness import numpy_stream
from invbench.core.training import steps_an_epoch
from invbench.data import ImagePool
from invbench.protocol.released import Released
from invbench.victims import Indexes, pool_of


@dataclass(frozen=True, eq=False)
class Split:
    """Indexes of pictures, no picture in two of them. `candidates`: half of whom each victim trains on.

    `others`: what victims train on beside their members; `reference`: what shadow models do. There are as many of both,
    so that all train on equally many: `size`. `unused`: the attacker has none of them, nor any victim.
    """

    candidates: Indexes
    others: Indexes
    reference: Indexes
    unused: int

    @property
    def size(self) -> int:
        """Pictures that a victim, a shadow and the control `unseen` train on."""
        return len(self.candidates) // 2 + len(self.others)


def protocol_of(cell: Cell) -> Released:
    """The cell's protocol."""
    assert cell.protocol is not None
    return cell.protocol.build(Released)


def different(pool: ImagePool) -> Indexes:
    """The pictures without copies: of equal ones the first. A copy would be a member and none at once."""
    return _different(pool)


def parts(pictures: int, share: float) -> tuple[int, int]:
    """How many members there are among so many pictures (as many candidates are none), and how many others."""
    members = int(pictures * share / 2)
    return members, (pictures - 2 * members) // 2


def counted(cell: Cell) -> int:
    """How many pictures take part."""
    there = len(different(pool_of(cell)))
    return min(there, protocol_of(cell).pictures or there)


def split_of(cell: Cell) -> Split:
    """The cell's pictures, dealt out by seed and data; the same for every victim of the cell."""
    order = numpy_stream("candidates", cell.seed, cell.data_hash).permutation(different(pool_of(cell)))
    members, others = parts(counted(cell), protocol_of(cell).candidates)
    ends = np.cumsum([2 * members, others, others])
    candidates, own, reference, _ = np.split(order[: counted(cell)], ends)
    return Split(np.sort(candidates), np.sort(own), np.sort(reference), counted(cell) - int(ends[-1]))


def members_of(cell: Cell, split: Split, number: int) -> Indexes:
    """The candidates that victim `number` trains on."""
    drawn = numpy_stream("members", cell.seed, cell.data_hash, number).permutation(split.candidates)
    return np.sort(drawn[: len(split.candidates) // 2])


def never_candidates(cell: Cell, split: Split, number: int) -> Indexes:
    """As many pictures, none a candidate: what a victim trains on that saw none of them."""
    every = np.concatenate([split.others, split.reference])
    drawn = numpy_stream("unseen", cell.seed, cell.data_hash, number).permutation(every)
    return np.sort(drawn[: split.size])


def steps_of(cell: Cell, split: Split) -> int:
    """Batches that a victim trains for."""
    return protocol_of(cell).epochs * steps_an_epoch(split.size)


@lru_cache(maxsize=8)
def _different(pool: ImagePool) -> Indexes:
    seen: dict[bytes, int] = {}
    for index, picture in enumerate(pool.images):
        seen.setdefault(sha256(np.ascontiguousarray(picture).data).digest(), index)
    return np.array(list(seen.values()), dtype=np.int64)
