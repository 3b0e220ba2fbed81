"""A table's rows as networks take them: pictures `(D, 1, 1)` of D numbers, labelled by the class of what is predicted.

Every attribute but the target is an input. A number lies in [0, 1] between the least and the largest of all rows and is
standardised by the rows that train, a missing one counts as the mean; a category is one-hot, as it is. Ranges and
categories are public, as a schema is. Of a target that is a number the classes are its thirds, cut by the rows that
train: as many rows in each, whatever its unit. Classes, and no squared loss, because all protocols and defences of
updates here are those of a mean cross-entropy.

Half of the rows train, a quarter is attacked, a quarter is neither: the attacker's own come from those first. The
same rows whatever is sensitive and whichever seed a cell has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from invbench.core.randomness import numpy_stream
from invbench.data import ImagePool
from invbench.data._table import Table
from invbench.models._tables import Feature, Floats, matrix_of
from invbench.models.iwpc import IWPC

DOSE = "dose"
"""The target of a cohort that has none: a stable dose, mg/week, drawn by the published formula with its error."""
THIRDS = 3
TRAINING, OWN = 0.5, 0.25


@dataclass(frozen=True, eq=False)
class Columns:
    """The D inputs of a row, and the least number and the range of each (0 and 1 of what is one-hot)."""

    features: tuple[Feature, ...]
    least: Floats
    span: Floats

    def of(self, people: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float32]:
        """People as pictures `(n, D, 1, 1)` in [0, 1]."""
        unit = ((matrix_of(self.features, people) - self.least) / self.span).clip(0, 1)
        return unit.astype(np.float32)[:, :, None, None]


@dataclass(frozen=True, eq=False, kw_only=True)
class RowPool(ImagePool):
    """Rows as pictures. `table`: these people, every category a text, with a target; `source`: as they were read."""

    table: Table
    columns: Columns
    source: Table

    @cached_property
    def content(self) -> str:
        """That of the table as it was read."""
        return self.source.content


def undosed(table: Table) -> str | None:
    """Why there is nothing that a network could be trained to predict of these people, or None."""
    if table.target is not None:
        return None
    try:
        IWPC().predict(table.people[0])
    except (KeyError, TypeError, ValueError):
        return "holds no column that a network could be trained to predict"
    return None


@lru_cache(maxsize=8)
def pool_of_table(table: Table) -> RowPool:
    """The rows of a table, with the split of who trains and who is attacked."""
    whole = _completed(table)
    assert whole.target is not None
    order = np.argsort(numpy_stream("rows of a network", len(whole.people)).random(len(whole.people)), kind="stable")
    trains, own = int(TRAINING * len(order)), int(OWN * len(order))
    train, held_out = order[:trains], order[trains + own :]
    columns = _columns(whole)
    images = columns.of(whole.people)
    labels, classes, note = _labels(whole, train)
    mean, std = _constants(columns, images[train, :, 0, 0].astype(np.float64))
    return RowPool(
        images=images,
        labels=labels,
        classes=classes,
        mean=mean,
        std=std,
        train=train,
        targets=held_out,
        trained_targets=held_out,
        notes=(*table.notes, note),
        table=whole,
        columns=columns,
        source=table,
    )


def _completed(table: Table) -> Table:
    """The same people with a target, and with every category as a text."""
    if table.target is not None:
        return table
    names = list(table.people[0])
    columns = {name: [person[name] for person in table.people] for name in names}
    texts = [name for name in names if any(isinstance(value, str | bool) for value in columns[name])]
    categories = {name: tuple(sorted({str(value) for value in columns[name]})) for name in texts}
    people = tuple(
        {name: str(value) if name in categories else value for name, value in person.items()} | {DOSE: dose}
        for person, dose in zip(table.people, _doses(table.people), strict=True)
    )
    categories[table.sensitive] = table.values
    return replace(table, people=people, target=DOSE, categories=categories)


def _doses(people: Sequence[Mapping[str, Any]]) -> list[float]:
    """A stable dose of each person, mg/week; inverse distribution functions of uniform draws, as of the cohort."""
    formula, draws = IWPC(), numpy_stream("doses of a cohort", 1).random(len(people)).tolist()
    errors = (formula.residual * NormalDist().inv_cdf(draw) for draw in draws)
    return [(formula.predict(person) + error) ** 2 for person, error in zip(people, errors, strict=True)]


def _columns(table: Table) -> Columns:
    features: list[Feature] = []
    for name in (name for name in table.people[0] if name != table.target):
        if name in table.categories:
            features += [Feature(name, value) for value in table.categories[name]]
        else:
            there = [person[name] for person in table.people if person[name] is not None]
            features.append(Feature(name, None, math.fsum(there) / len(there) if there else 0.0))
    raw = matrix_of(features, table.people)
    is_number = np.array([feature.value is None for feature in features])
    least = np.where(is_number, raw.min(axis=0), 0.0)
    span = np.where(is_number, raw.max(axis=0) - least, 1.0)
    return Columns(tuple(features), least, np.where(span > 0, span, 1.0))


def _constants(columns: Columns, training: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What rows are normalised by, `(D,)` each: of a number its mean and standard deviation, 0 and 1 of a category."""
    is_number = np.array([feature.value is None for feature in columns.features])
    mean, std = np.where(is_number, training.mean(axis=0), 0.0), np.where(is_number, training.std(axis=0), 1.0)
    return tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist())


def _labels(table: Table, train: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], int, str]:
    """Labels `(N,)`, how many classes there are, and what they are."""
    target = table.target or ""
    values = [person[target] for person in table.people]
    if (names := table.categories.get(target)) is not None:
        return np.array([names.index(value) for value in values]), len(names), f"a network predicts {target}"
    numbers = np.array(values, dtype=np.float64)
    cuts = np.quantile(numbers[train], [1 / THIRDS, 2 / THIRDS])
    note = f"a network predicts the third of the training rows' {target}: cut at {cuts[0]:.4g} and {cuts[1]:.4g}"
    return np.searchsorted(cuts, numbers, side="right").astype(np.int64), THIRDS, note
