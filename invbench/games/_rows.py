"""Rounds of clients who hold rows of a table: who is in a batch, which rows are the attacker's own, what is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from invbench.cell import Cell
from invbench.core.randomness import numpy_stream
from invbench.defenses import Stage
from invbench.games._batches import pictures_of, protocol_of, target_pool
from invbench.games._people import counted, imputed
from invbench.games._planning import STAGES, not_of_kind, why_no_client
from invbench.games._released import table_of
from invbench.models import TableLearner, TableModel
from invbench.observation import AttributePrior, CountedPrior
from invbench.scoring.reconstruction import Truth
from invbench.victims import Indexes, model_of, pool_of
from invbench.victims.pictures import normalised
from invbench.victims.rows import RowPool, undosed

ROW_STAGES: frozenset[Stage] = STAGES - {"inputs"}
"""Of defences: those that change a batch's inputs are of pixels, and a row has none."""
MOST_CANDIDATES = 1000
LABEL = "label of the network"

Prior = AttributePrior | CountedPrior


@dataclass(frozen=True, eq=False)
class Candidates:
    """Rows `(N, D, 1, 1)`, normalised, that a person may have; which value each has, and its probability `(N,)`."""

    rows: Tensor
    value: Tensor
    prior: Tensor


def why_no_rows(cell: Cell) -> str | None:
    """Why no client of this cell computes an update of rows, or none is left for its batches, or None."""
    if (why := not_of_kind(cell)) is not None:
        return why
    if issubclass(cell.model.part.cls, TableModel | TableLearner):
        return f"{cell.model.name} is no network: nobody shares updates of it"
    if (why := undosed(table_of(cell))) is not None:
        return f"{cell.dataset.short} {why}"
    if (why := why_no_client(cell, ROW_STAGES)) is not None:
        return why
    there, size, public = len(target_pool(cell, rows_of(cell))), pictures_of(cell), protocol_of(cell).public
    if (wanted := cell.offset + cell.targets) > there:
        return f"needs {wanted} people ({cell.targets} from number {cell.offset} on), its rows held out are {there}"
    if size > there:
        return f"a round takes {size} rows; {cell.dataset.short} has {there} that are held out"
    if (own := len(own_rows(cell))) < public:
        return f"public: {public} rows; {cell.dataset.short} has {own} that are neither attacked nor trained on"
    return None


def rows_of(cell: Cell) -> RowPool:
    """The cell's table as networks take it."""
    return cast(RowPool, pool_of(cell))


def own_rows(cell: Cell) -> Indexes:
    """Rows that are never attacked, nor trained on by the victim: the first of them are the attacker's own.

    The same for all seeds; those that no victim trains on come first.
    """
    pool = rows_of(cell)
    drawn = numpy_stream("attacker's own rows", cell.data_hash)
    never = np.union1d(pool.train, pool.targets)
    apart = drawn.permutation(np.setdiff1d(np.arange(len(pool.labels)), never))
    return apart if model_of(cell).trained else np.concatenate([apart, drawn.permutation(pool.train)])


def batch_about(cell: Cell, number: int) -> Truth:
    """The rows behind the update of target `number`, the target's own first; the others are drawn by the seed.

    Rounds may share the others, a round holds nobody twice.
    """
    pool = rows_of(cell)
    places = target_pool(cell, pool)
    others = numpy_stream("others in a batch", cell.seed, cell.data_hash, number).permutation(len(places))
    positions = np.concatenate([[number], others[others != number][: pictures_of(cell) - 1]])
    indexes = places[positions]
    return Truth(pool.unit(indexes), pool.labels[indexes], positions, indexes)


def prior_of(cell: Cell) -> Prior:
    """The published frequencies; where there are none, those of the rows that train."""
    pool = rows_of(cell)
    return pool.table.prior or counted(pool.table, pool.train.tolist())


def unknown_of(cell: Cell) -> tuple[str, ...]:
    """The attributes that are not told of a person, the sensitive one first."""
    table = rows_of(cell).table
    told = (*table.background, table.target, table.sensitive)
    return (table.sensitive, *(name for name in table.people[0] if name not in told))


def why_uncountable(cell: Cell) -> str | None:
    """Why not every row can be looked at that agrees with what is known of a person, or None."""
    categories = rows_of(cell).table.categories
    if number := next((name for name in unknown_of(cell) if name not in categories), None):
        return f"{number} is a number that the attacker is not told: its values cannot be tried one by one"
    if (count := math.prod(len(categories[name]) for name in unknown_of(cell))) > MOST_CANDIDATES:
        return f"{count:,} rows agree with what is known of a person; at most {MOST_CANDIDATES:,} are tried"
    return None


def known_of(cell: Cell, person: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of a person."""
    return {name: person[name] for name in rows_of(cell).table.background}


def candidates_of(cell: Cell, prior: Prior, person: Mapping[str, Any]) -> Candidates:
    """Every row that agrees with what is known of a person, by value of the sensitive attribute."""
    pool = rows_of(cell)
    table, normalisation = pool.table, pool.normalisation
    found: list[tuple[dict[str, Any], float]] = [(known_of(cell, person), 1.0)]
    for name in unknown_of(cell):
        shares = [{str(value): p for value, p in prior.given(name, row).items()} for row, _ in found]
        found = [
            ({**row, name: value}, chance * share.get(value, 0.0))
            for (row, chance), share in zip(found, shares, strict=True)
            for value in table.categories[name]
        ]
    return Candidates(
        rows=normalised(pool.columns.of([row for row, _ in found]), normalisation),
        value=torch.tensor([table.values.index(row[table.sensitive]) for row, _ in found]),
        prior=torch.tensor([chance for _, chance in found], dtype=torch.float64),
    )


def classified(cell: Cell, people: list[int]) -> list[dict[str, float]]:
    """What a classifier says of these rows without an update: trained on the rows that train, by what is known.

    Where the protocol grants labels, the label is among that: of a dose it tells of the genotypes behind it.
    """
    pool = rows_of(cell)
    table, known = pool.table, list(pool.table.background)
    if protocol_of(cell).labels == "known":
        labels = [str(label) for label in pool.labels]
        told = tuple({**person, LABEL: label} for person, label in zip(table.people, labels, strict=True))
        classes = tuple(map(str, range(pool.classes)))
        table, known = replace(table, people=told, categories={**table.categories, LABEL: classes}), [*known, LABEL]
    return imputed(table, pool.train.tolist(), known, people)
