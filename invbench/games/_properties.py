"""Rounds of game `batch-property`: which value each is about, whether its batch holds it, and whose rows are in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from invbench.cell import Cell
from invbench.core.randomness import numpy_stream
from invbench.data._table import Table
from invbench.games._batches import pictures_of, protocol_of, target_pool, wanted_of
from invbench.games._rows import own_rows, rows_of
from invbench.scoring.reconstruction import Truth
from invbench.victims import Indexes

LEAST_OWN = 5
"""The attacker's own rows with a value, and without it, from which a classifier is taught."""


@dataclass(frozen=True, eq=False)
class PropertyRound:
    """`value`: the number of the value that is asked about; `holds`: whether the batch has it; its rows."""

    value: int
    holds: bool
    batch: Truth


def holders_of(cell: Cell) -> int:
    """How many of the rows that the server sees have the property, where any has it."""
    return max(1, round(protocol_of(cell).property_share * wanted_of(cell)))


def own_of(cell: Cell) -> Indexes:
    """The attacker's own rows."""
    return own_rows(cell)[: protocol_of(cell).public]


def values_of(cell: Cell, rows: Indexes) -> Indexes:
    """The number of each row's value of the sensitive attribute."""
    return _numbers(rows_of(cell).table)[rows]


@lru_cache(maxsize=8)
def _numbers(table: Table) -> Indexes:
    return np.array([table.values.index(person[table.sensitive]) for person in table.people], dtype=np.int64)


def askable(cell: Cell) -> tuple[int, ...]:
    """The values that enough of the people attacked, and enough of the attacker's own rows, have and have not."""
    there, own = values_of(cell, target_pool(cell, rows_of(cell))), values_of(cell, own_of(cell))
    holders, size, found = holders_of(cell), pictures_of(cell), []
    for value in range(len(rows_of(cell).table.values)):
        have, have_not = int((there == value).sum()), int((there != value).sum())
        taught = min(int((own == value).sum()), int((own != value).sum()))
        if have >= holders and have_not >= size and taught >= LEAST_OWN:
            found.append(value)
    return tuple(found)


def round_of(cell: Cell, number: int) -> PropertyRound:
    """Round `number`: values take turns, a coin says whether the batch holds its own. Rounds may share rows.

    Rows of clients that the server does not see (those who drop out) are drawn without regard to the property.
    """
    pool, drawn = rows_of(cell), numpy_stream("property", cell.seed, cell.data_hash, number)
    places, values = target_pool(cell, pool), askable(cell)
    value, holds = values[number % len(values)], bool(drawn.random() < 0.5)
    order = drawn.permutation(places)
    has = values_of(cell, order) == value
    holders = holders_of(cell) if holds else 0
    seen = np.concatenate([order[has][:holders], order[~has][: wanted_of(cell) - holders]])
    others = order[~np.isin(order, seen)][: pictures_of(cell) - len(seen)]
    rows = np.concatenate([drawn.permutation(seen), others])
    return PropertyRound(value, holds, Truth(pool.unit(rows), pool.labels[rows], np.arange(len(rows)), rows))


def by_labels(cell: Cell, rounds: list[PropertyRound]) -> list[float]:
    """What a classifier says of each round that is told how often each label is in its batch.

    Logistic regression, taught on as many batches of the attacker's own rows with the value as without.
    """
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    fitted, found = dict[int, LogisticRegression](), []
    for one in rounds:
        if one.value not in fitted:
            counts, holds = _taught(cell, one.value)
            fitted[one.value] = LogisticRegression(max_iter=1000).fit(counts, holds)
        shares = _shares(one.batch.labels[: wanted_of(cell)], rows_of(cell).classes)
        found.append(float(fitted[one.value].predict_proba(shares[None])[0, 1]))
    return found


TAUGHT = 200
"""Batches with the property, and as many without, on which the control is taught."""


def _taught(cell: Cell, value: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Shares of labels in batches of the attacker's own rows, `(2 TAUGHT, classes)`, and which hold the value."""
    own, labels, classes = own_of(cell), rows_of(cell).labels, rows_of(cell).classes
    has, drawn = values_of(cell, own) == value, numpy_stream("property by labels", cell.data_hash, value)
    holds, size, some, found = np.arange(2 * TAUGHT) % 2 == 1, wanted_of(cell), holders_of(cell), []
    for with_it in holds:
        holders = some if with_it else 0
        chosen = [drawn.choice(own[has], holders), drawn.choice(own[~has], size - holders)]
        found.append(_shares(labels[np.concatenate(chosen)], classes))
    return np.stack(found), holds


def _shares(labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float64]:
    return np.bincount(labels, minlength=classes) / len(labels)
