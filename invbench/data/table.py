"""A user's own people: the rows of a CSV file, one attribute of them sensitive.

What a column holds follows from its cells. It is a number where every cell that is not empty is one, and some are not
whole or more than ten differ; everything else is a category, its values the texts as they stand (so genotypes that are
written 11, 12, 13 are categories, and so is 0 or 1). Empty cells (also NA, N/A, NaN, nan, null, NULL): in a category
they are a value of their own, `missing`; a number that is missing counts as the mean of the rows that train the model;
a row without its target or its sensitive attribute is left out, and a note says how many are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from invbench.data import BadData, Dataset
from invbench.data._csv import no_column, read_columns
from invbench.data._files import Stamp, expand, stamp
from invbench.data._table import Table
from invbench.registry import dataset, parameter

MISSING = "missing"
MOST_WHOLE = 10
"""So many different whole numbers are still taken for codes: six genotypes, ten decades."""
MOST_VALUES = 1000
"""Of the sensitive attribute: an attack names one of them."""
LEAST_ROWS = 8
"""Two people held out of eight: with fewer there is nothing to rank."""


@dataset(data="table")
@dataclass(frozen=True, kw_only=True)
class TableFile(Dataset):
    """People of a CSV file: a model learns `target` from the other columns, an attacker is after `sensitive`.

    Rows are split 75 to 25 by the cell's seed: three quarters train the model, the others are held out.
    """

    path: Path = parameter(help="the CSV file, its first line the columns' names")
    target: str = parameter(help="column that the model predicts")
    sensitive: str = parameter(help="column that the attacker is after; its values are categories")

    def load(self) -> Table:
        return _load(stamp(expand(self.path)), self.target, self.sensitive)


@lru_cache(maxsize=8)
def _load(source: Stamp, target: str, sensitive: str) -> Table:
    file = source[0]
    columns = read_columns(file)
    for name, what in ((target, "the target"), (sensitive, "the sensitive attribute")):
        if name not in columns:
            raise no_column(file, name, list(columns), what)
    if target == sensitive:
        raise BadData(f"{file}: target and sensitive attribute are both {target!r}")
    kept = [k for k in range(len(columns[target])) if columns[target][k] and columns[sensitive][k]]
    if len(kept) < LEAST_ROWS:
        raise BadData(f"{file}: has {len(kept)} rows with {target!r} and {sensitive!r}; at least {LEAST_ROWS} needed")
    cells = {name: [column[k] for k in kept] for name, column in columns.items()}
    numbers = {name: found for name, column in cells.items() if (found := _numbers(column)) is not None}
    _check_sensitive(file, sensitive, cells[sensitive], sensitive in numbers)
    texts = {name: [cell or MISSING for cell in column] for name, column in cells.items() if name not in numbers}
    if len(set(texts.get(target, numbers.get(target, [])))) < 2:
        raise BadData(f"{file}: the target {target!r} has one value alone, {cells[target][0]!r}: nothing to predict")
    people = tuple(
        {name: numbers[name][row] if name in numbers else texts[name][row] for name in cells}
        for row in range(len(kept))
    )
    categories = {name: tuple(sorted(set(column), key=_rank)) for name, column in texts.items()}
    left_out = len(columns[target]) - len(kept)
    return Table(
        people=people,
        sensitive=sensitive,
        values=categories[sensitive],
        background=tuple(name for name in cells if name not in (target, sensitive)),
        prior=None,
        notes=(f"{left_out} rows without {target} or {sensitive} are left out",) if left_out else (),
        target=target,
        categories=categories,
    )


def _check_sensitive(file: Path, name: str, column: list[str], is_number: bool) -> None:
    values = set(column)
    if len(values) == 1:
        raise BadData(f"{file}: the sensitive attribute {name!r} has one value alone, {column[0]!r}: nothing to infer")
    if is_number:
        raise BadData(f"{file}: the sensitive attribute {name!r} is a number of many values; write it in categories")
    if len(values) > MOST_VALUES:
        raise BadData(f"{file}: the sensitive attribute {name!r} has {len(values)} values; at most {MOST_VALUES}")


def _numbers(column: list[str]) -> list[float | None] | None:
    """The cells as numbers, None where empty; None where the column is a category."""
    try:
        found = [float(cell) if cell else None for cell in column]
    except ValueError:
        return None
    there = {value for value in found if value is not None}
    if not there or not all(map(math.isfinite, there)):
        return None
    return found if len(there) > MOST_WHOLE or any(value % 1 for value in there) else None


def _rank(text: str) -> tuple[bool, float, str]:
    """Categories that are numbers by size, before those that are words by letters."""
    try:
        value = float(text)
    except ValueError:
        return True, 0.0, text
    return (False, value, text) if math.isfinite(value) else (True, 0.0, text)
