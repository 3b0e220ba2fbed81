"""What `invbench compare` and `invbench check` print: verdicts of the gate as rows of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from invbench.numbers.columns import plain_column
from invbench.report import wording
from invbench.report.tables import code, table, text
from invbench.sheets import columns


class Compared(Protocol):
    """One metric of one cell, before and after, or (`metric` None) a whole cell: the gate's verdict, as data."""

    @property
    def cell(self) -> str: ...
    @property
    def names(self) -> Mapping[str, Any]: ...
    @property
    def metric(self) -> str | None: ...
    @property
    def outcome(self) -> str: ...
    @property
    def before(self) -> float | None: ...
    @property
    def after(self) -> float | None: ...
    @property
    def difference(self) -> float | None: ...
    @property
    def interval(self) -> tuple[float, float] | None: ...
    @property
    def message(self) -> str: ...


C = TypeVar("C", bound=Compared)
HEADER = ("cell", "what", "metric", "before", "after", "difference", "95 % interval", "outcome", "why")


ONE_SIDED = {"missing": "Measured only in the first", "new": "Measured only in the second"}
MOST_ALONE = 8
"""Cells of one side only that are listed; more of them are another matrix's, and counted."""


def rows(compared: Sequence[Compared]) -> list[tuple[str, ...]]:
    """One row of plain words for each, in the order given; the columns are `HEADER`'s."""
    return [_row(one) for one in compared]


def comparison(compared: Sequence[Compared]) -> str:
    """Markdown: how many of each outcome, then a row for each."""
    if not compared:
        return "Nothing to compare.\n"
    counts = Counter(one.outcome for one in compared)
    parts = ["**" + ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()) + "**"]
    shown, alone = listed_alone(compared)
    if shown:
        cells = [[code(row[0]), *map(text, row[1:])] for row in rows(shown)]
        parts.append(table(HEADER, cells, right=frozenset({3, 4, 5, 6})))
    return "\n\n".join([*parts, *alone]) + "\n"


def listed_alone(compared: Sequence[C]) -> tuple[list[C], list[str]]:
    """Those that are listed, and a line for cells of one side only where they are too many to list."""
    alone = {outcome: dict.fromkeys(one.cell for one in compared if one.outcome == outcome) for outcome in ONE_SIDED}
    many = [outcome for outcome, cells in alone.items() if len(cells) > MOST_ALONE]
    lines = [f"{ONE_SIDED[outcome]}: {wording.cells(len(alone[outcome]))}, not listed." for outcome in many]
    return [one for one in compared if one.outcome not in many], lines


def _row(one: Compared) -> tuple[str, ...]:
    if one.metric is None:
        numbers = ("", "", "", "", "")
    else:
        column = columns().get(one.metric) or plain_column(one.metric)
        show, decimals = column.show, column.decimals
        difference = "" if one.difference is None else f"{one.difference:+z.{decimals}f}"
        interval = "" if one.interval is None else "[{:+z.{d}f}, {:+z.{d}f}]".format(*one.interval, d=decimals)
        numbers = (wording.column_title(column), show(one.before), show(one.after), difference, interval)
    return (one.cell[:8], wording.whole_cell(one.names), *numbers, one.outcome, one.message)
