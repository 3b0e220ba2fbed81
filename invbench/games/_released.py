"""Game `attribute`: the cell's table, protocol and trained model, and why a cell of them cannot be played."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import cast

from invbench.cell import Cell
from invbench.core.parameters import nearest_name
from invbench.core.randomness import stream
from invbench.core.regression import Regression
from invbench.data import Dataset
from invbench.data._table import Table
from invbench.defenses import Context, Defense, Stack, Stage
from invbench.games._people import PARTS, training_count
from invbench.games._planning import acts_nowhere
from invbench.models import ImageModel, Rows, TableLearner, TableModel
from invbench.protocol.release import Release

MOST_COMBINATIONS = 10_000
STAGES: frozenset[Stage] = frozenset({"regression"})


def table_of(cell: Cell) -> Table:
    return cast(Table, cell.dataset.build(Dataset).load())


def release_of(cell: Cell) -> Release:
    """What the attacker is granted; the default where the cell names no protocol."""
    return Release() if cell.protocol is None else cell.protocol.build(Release)


def learner_of(cell: Cell) -> TableLearner | None:
    """The cell's model where it is one that is trained; None where it is a published one."""
    return cell.model.build(TableLearner) if issubclass(cell.model.part.cls, TableLearner) else None


def trained(cell: Cell, table: Table, training: Sequence[int]) -> TableModel:
    """The cell's model, trained on these rows behind its defences."""
    learner = learner_of(cell)
    assert learner is not None
    assert table.target is not None
    rows = Rows(
        people=[table.people[row] for row in training],
        target=table.target,
        features=tuple(name for name in table.people[0] if name != table.target),
        categories=table.categories,
    )
    return learner.fit(rows, partial(_defended, cell))


def _defended(cell: Cell, regression: Regression) -> Regression:
    choices = cell.defense or ()
    stack = Stack(tuple(choice.build(Defense) for choice in choices))
    generator = stream(cell.seed, "regression", [choice.key for choice in choices])
    return stack.at("regression", regression, Context(generator))


def why_unplayable(cell: Cell) -> str | None:
    """Why this cell cannot be played, or None."""
    if cell.dataset.part.facts["data"] != "table":
        return f"needs a data set of people's attributes; {cell.dataset.name} holds none"
    if cell.model.part.facts["data"] != "table":
        return f"needs a model of people's attributes; {cell.model.name} takes images"
    table, learner = table_of(cell), learner_of(cell)
    return (
        _unfit(cell, table, learner)
        or _not_granted(cell, table, learner)
        or _undefended(cell, table, learner)
        or _too_few(cell, table)
    )


def _unfit(cell: Cell, table: Table, learner: TableLearner | None) -> str | None:
    if issubclass(cell.model.part.cls, ImageModel):
        return f"{cell.model.name} is a network, which shares updates: game update-attribute asks what they tell"
    if learner is not None and table.target is None:
        return f"{cell.model.name} is trained, and {cell.dataset.name} has no target to train it on: name a `table`"
    if learner is None and table.target is not None:
        return f"{cell.model.name} is published with its own attributes; rows of a file train `ridge` or `tree`"
    return None


def _not_granted(cell: Cell, table: Table, learner: TableLearner | None) -> str | None:
    release = release_of(cell)
    if release.people == "training" and learner is None:
        return f"{cell.model.name} is published: none of these people trained it"
    if release.access == "leaf-counts" and not (learner and learner.has_leaves):
        return f"{cell.model.name} has no leaves whose counts could be granted"
    for name in release.unknown or ():
        if name not in table.background:
            near = nearest_name(name, table.background)
            words = f"nearest: {near!r}" if near else f"they are {', '.join(table.background)}"
            return f"unknown: {name!r} is none of the attributes that the attacker is given; {words}"
        if table.prior is not None and name not in table.prior.names:
            return f"unknown: of {name!r} no frequencies are published, over which it could be summed out"
    return _too_many(table, release.unknown or ())


def _too_many(table: Table, unknown: Sequence[str]) -> str | None:
    """Why unknown attributes cannot be summed out: every combination of their values is looked at for each person."""
    sizes = [len(table.categories.get(name, range(PARTS))) for name in unknown] if table.target is not None else []
    if (combinations := math.prod(sizes)) > MOST_COMBINATIONS:
        return f"unknown: {combinations:,} combinations of values a person; at most {MOST_COMBINATIONS:,}"
    return None


def _undefended(cell: Cell, table: Table, learner: TableLearner | None) -> str | None:
    for choice in cell.defense or ():
        if not STAGES & set(choice.build(Defense).stages()):
            return acts_nowhere(choice.name, cell.game, STAGES)
        if learner is None or not learner.is_least_squares:
            return f"defence {choice.name} acts on a regression of least squares; {cell.model.name} is none"
        if table.target in table.categories:
            return f"defence {choice.name} acts on a regression; the target {table.target} is a category"
    return _unguarded([choice.name for choice in cell.defense or ()], table)


def _unguarded(defenses: Sequence[str], table: Table) -> str | None:
    """Why defences of a regression of this table promise nothing, or None."""
    if len(defenses) > 1:
        return f"{' and '.join(defenses)}: each makes the whole regression private by itself; name one of them"
    numbers = [name for name in table.background if name not in table.categories] if defenses else []
    if name := next((name for name in numbers if any(person[name] is None for person in table.people)), None):
        return (
            f"defence {defenses[0]}: where {name} is missing it counts as the mean of the training rows, which no"
            " guarantee of the coefficients covers: leave those rows out, or fill them in"
        )
    return None


def _too_few(cell: Cell, table: Table) -> str | None:
    wanted, there, of = cell.offset + cell.targets, len(table.people), "the data set has"
    if table.target is not None:
        training = training_count(there)
        if release_of(cell).people == "training":
            there, of = training, "its rows that train the model are"
        else:
            there, of = there - training, "its rows held out are"
    if there < wanted:
        return f"needs {wanted} people ({cell.targets} from number {cell.offset} on), {of} {there}"
    return None
