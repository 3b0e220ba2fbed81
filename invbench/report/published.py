"""Our numbers beside those that papers report, and why they differ: the matrix's key `published`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from invbench.numbers.columns import Column, plain_column
from invbench.published import Published
from invbench.report import wording
from invbench.report.figures import Figures
from invbench.report.naming import Names, labels, line, varying
from invbench.report.tables import code, table, text
from invbench.sheets import columns
from invbench.store import AXES

MOST_ROWS = 100
"""Of the table: a paper's main table has fewer, but a number may meet cells of many seeds."""
HEADING = "## Beside the published numbers"
HEADER = ("what", "metric", "ours", "published", "source", "why", "cell")


def published_section(figures: Sequence[Figures], published: Sequence[Published]) -> list[str]:
    """Heading, table and reasons; nothing where the matrix names no published number."""
    if not published:
        return []
    rows, reasons = _rows(figures, published)
    hidden = sum(len(one.cells) for one in published) - len(rows)
    more = [f"{hidden:,} more rows are not shown."] if hidden else []
    why = "\n".join(f"{number}. {text(words)}" for words, number in reasons.items())
    return [HEADING, table(HEADER, rows, right=frozenset({5})), *more, f"Why they differ:\n\n{why}"]


def _rows(figures: Sequence[Figures], published: Sequence[Published]) -> tuple[list[list[str]], dict[str, int]]:
    """A row for each published number and cell, and the number of each reason."""
    by_id = {one.record.id: one for one in figures}
    every = [(one, id) for one in published for id in one.cells][:MOST_ROWS]
    name = _namer([one.record.names for one in figures])
    reasons = {words: number for number, words in enumerate(dict.fromkeys(one.differs for one in published), start=1)}
    rows = []
    for one, id in every:
        cell = by_id.get(id)
        column = columns().get(one.metric, plain_column(one.metric))
        what = "" if cell is None else code(name(cell.record.names))
        shown = [text(wording.column_title(column)), _ours(cell, column), _reported(one), text(one.source)]
        rows.append([what, *shown, str(reasons[one.differs]), code(id[:8])])
    return rows, reasons


def _namer(every: Sequence[Names]) -> Callable[[Names], str]:
    """How to call one of these cells: its attack, and the other axes in which they differ."""
    differing = {"attack", *varying(every, AXES)}
    of_axis = {axis: labels(names.get(axis) for names in every) for axis in differing}
    axes = [axis for axis in AXES if axis in differing]
    return lambda names: line(names, axes, of_axis)


def _ours(cell: Figures | None, column: Column) -> str:
    """The cell's value with its interval, or why there is none."""
    if cell is None:
        return "not run"
    summary = cell.scores.get(column.name)
    if summary is None:
        return "no value" if cell.record.status == "ok" else cell.record.status
    return f"{column.show(summary.mean)} {wording.interval(column, summary)}".rstrip()


def _reported(one: Published) -> str:
    """The paper's number as the matrix has it, in the metric's unit, or its words."""
    return text(one.value) if isinstance(one.value, str) else " to ".join(f"{number:.12g}" for number in one.numbers)


def of_cell(published: Sequence[Published], id: str) -> list[Published]:
    """The numbers that stand beside this cell, with no other."""
    return [replace(one, cells=(id,)) for one in published if id in one.cells]
