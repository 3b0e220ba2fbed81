"""The report's tables: a section for each game, data set, batch size and protocol, a table for each attack.

A report of very many cells would be no page that a person can open: above `MOST_ROWS` cells every table shows the
rows that leak most, and says how many it leaves to `summary.csv`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from invbench.numbers.columns import Column
from invbench.numbers.sheet import Layout, Spread
from invbench.report import naive, wording
from invbench.report.figures import Figures, leading
from invbench.report.naive import Pairs
from invbench.report.tables import code, table, text

MOST_ROWS, MOST_TABLES = 1000, 200
"""About a quarter of a megabyte of Markdown."""


@dataclass(frozen=True)
class Room:
    """How many tables a section may have, and how many rows a table."""

    tables: int
    rows: int


def room(sections: Sequence[Sequence[Figures]]) -> Room | None:
    """The room in a report of these sections; None where everything has its place."""
    cells = sum(map(len, sections))
    if cells <= MOST_ROWS:
        return None
    tables = sum(len({one.record.names["attack"] for one in figures}) for figures in sections)
    return Room(max(1, MOST_TABLES // len(sections)), max(1, MOST_ROWS // min(tables, MOST_TABLES)))


Link = Callable[[str, str], str | None]
"""`(cell id, file name)` to the address of that file of the cell, None where there is none."""


def section(figures: Sequence[Figures], link: Link, pairs: Pairs, room: Room | None = None) -> str:
    """One section: its heading, the best cell with its picture, a table for each attack, naive twins beside it."""
    names = figures[0].record.names
    batch = "" if names["batch_size"] is None else f", batch size {names['batch_size']}"
    protocol = "" if names["protocol"] is None else f", protocol {text(names['protocol'])}"
    parts = [f"## Game {text(names['game'])}: {text(names['dataset'])}{batch}{protocol}"]
    if figures[0].sheet.plain is not None:
        parts.append(
            f"Its metrics are shown as they are, without direction, margin or finding: {text(figures[0].sheet.plain)}."
        )
    metric = leading(figures)
    best = strongest(figures, metric)
    if best is not None:
        parts += _best(best, figures, metric, link)
    attacks = list(grouped(pairs.rows(figures), lambda one: one.record.names["attack"]).values())
    shown = attacks if room is None else _most(attacks, room.tables, lambda cells: max(map(_strength, cells)))
    for of_attack in shown:
        parts.append(f"### {text(of_attack[0].record.names['attack'])}")
        ran = any(each.record.status == "ok" for one in of_attack for each in (one, pairs.of(one)) if each)
        rows = of_attack if room is None else _most(of_attack, room.rows, _strength)
        parts.append(_table(rows, link, pairs) if ran else _none_ran(of_attack))
        if ran and len(rows) < len(of_attack):
            parts.append(f"The {len(rows)} that leak most of {len(of_attack):,} cells; all stand in `summary.csv`.")
    if len(shown) < len(attacks):
        parts.append(f"{len(attacks) - len(shown):,} more attacks that leak less stand in `summary.csv`.")
    return "\n\n".join(parts)


def strongest(figures: Iterable[Figures], metric: str) -> Figures | None:
    """The cell that leaks most by a metric, the earliest of equals; None where none has it.

    What was surely read comes first.
    """

    def order(one: Figures) -> tuple[bool, float]:
        return one.shown is not None, one.sheet.column(metric).gain(one.scores[metric].mean)

    return max((one for one in figures if metric in one.scores), key=order, default=None)


def grouped(figures: Iterable[Figures], key: Callable[[Figures], object]) -> dict[object, list[Figures]]:
    """Cells by a key, both in the order of their first appearance."""
    groups: dict[object, list[Figures]] = {}
    for one in figures:
        groups.setdefault(key(one), []).append(one)
    return groups


T = TypeVar("T")


def _most(items: Sequence[T], count: int, strength: Callable[[T], float]) -> list[T]:
    """The `count` strongest in their order, the earlier of equals."""
    if len(items) <= count:
        return list(items)
    places = sorted(range(len(items)), key=lambda place: -strength(items[place]))[:count]
    return [items[place] for place in sorted(places)]


def _strength(one: Figures) -> float:
    """The game's first metric, signed so that more is a stronger attack; cells without it come last."""
    metric = one.sheet.first
    return one.sheet.column(metric).gain(one.scores[metric].mean) if metric in one.scores else -math.inf


def _best(best: Figures, figures: Sequence[Figures], metric: str, link: Link) -> list[str]:
    """The strongest cell in words, how many others have the same value, and its picture."""
    names, column = best.record.names, best.sheet.column(metric)
    defense = "" if names["defense"] is None else f" under {code(names['defense'])}"
    shown = column.show(best.scores[metric].mean)
    value = f"{column.written} {wording.with_unit(column, best.scores[metric].mean)}"
    found = wording.finding(best)
    equal = sum(metric in one.scores and column.show(one.scores[metric].mean) == shown for one in figures) - 1
    ties = f"; {equal} more {'cell equals' if equal == 1 else 'cells equal'} it" if equal else ""
    line = f"Best here: {wording.attacked(names)}{defense}, {value} (above control: {found}){ties}."
    picture = link(best.record.id, "grid.png")
    return [line] if picture is None else [line, f"![picture of cell {best.record.id}]({picture})"]


def _none_ran(figures: Sequence[Figures]) -> str:
    counts = grouped(figures, lambda one: one.record.status)
    return (
        "No cell has numbers: "
        + ", ".join(f"{len(cells)} {status}" for status, cells in counts.items())
        + "; reasons below."
    )


def _table(figures: Sequence[Figures], link: Link, pairs: Pairs) -> str:
    """Rows model and defence; the best value of each metric's column in bold, if it is above its strongest control."""
    layout = _layout(figures)
    header, columns = ["model"], [[code(one.record.names["model"]) for one in figures]]
    for title, axis in (("defence", "defense"), ("seed", "seed")):
        values = [one.record.names[axis] for one in figures]
        if (axis == "seed" and len(set(values)) > 1) or (axis == "defense" and any(v is not None for v in values)):
            header.append(title)
            columns.append([code(value) if axis == "defense" else str(value) for value in values])
    words = len(header)
    header.append("targets")
    columns.append([str(one.record.targets) for one in figures])
    for metric in layout.metrics:
        column = figures[0].sheet.column(metric)
        first = metric == layout.metrics[0]  # which says of cells without numbers why they have none
        if not first and not any(metric in one.scores for one in figures):
            continue
        header.append(text(wording.column_title(column)))
        columns.append(_metric_cells(figures, column, layout.spread))
        if metric == figures[0].sheet.first and any(pairs.of(one) for one in figures):
            header.append(naive.TITLE)
            columns.append([naive.shown(pairs.of(one)) for one in figures])
        for name in layout.controls:
            means = [one.controls.get(metric, {}).get(name) for one in figures]
            if any(mean is not None for mean in means):  # a published model has no rows for a classifier
                header.append(text(name))
                columns.append([column.show(mean) for mean in means])
        if not layout.controls and column.role == "leak":
            header.append("control")
            columns.append([_control(one, column) for one in figures])
    for metric, usual in layout.aside:
        column = figures[0].sheet.column(metric)
        shown = [one.scores[metric].mean if metric in one.scores else None for one in figures]
        if any(value is not None and value != usual for value in shown):
            header.append(wording.column_title(column))
            columns.append([column.show(value) for value in shown])
            if usual < 0 and column.role == "leak" and not layout.controls:
                header.append("control")
                columns.append([_control(one, column) for one in figures])
    if any(one.record.certified is not None for one in figures):
        header.append("certified")
        columns.append([_certified(one) for one in figures])
    right = frozenset(range(words, len(header)))
    header += ["above control", "cell"]
    columns.append([wording.finding(one) for one in figures])
    columns.append([_cell_link(one, link) for one in figures])
    return table(header, list(zip(*columns, strict=True)), right)


def _layout(figures: Sequence[Figures]) -> Layout:
    """What the table shows: of a game that nothing describes, every metric that any of the cells has."""
    sheet = figures[0].sheet
    if sheet.plain is None:
        return sheet.layout
    return Layout(metrics=tuple(dict.fromkeys(metric for one in figures for metric in one.scores)))


def _metric_cells(figures: Sequence[Figures], column: Column, spread: Spread) -> list[str]:
    metric = column.name
    means = [one.scores[metric].mean for one in figures if metric in one.scores]
    best = column.show(max(means, key=column.gain)) if means and column.role == "leak" else None
    cells = []
    for one in figures:
        summary = one.scores.get(metric)
        if summary is None:
            cells.append("")
            continue
        over_items = spread == "std" if column.statistic is None else column.statistic.resampled == "items"
        count = one.record.images if over_items else one.record.targets
        shown = wording.mean_and_spread(column, summary, spread, count)
        bold = column.show(summary.mean) == best and _is_above(one, column, summary.mean)
        cells.append(f"**{shown}**" if bold else shown)
    return cells


def _is_above(one: Figures, column: Column, mean: float) -> bool:
    """Whether a value is more than its strongest control's, if it has one, as both are printed."""
    control = one.strongest.get(column.name)
    return control is None or column.gain(float(column.show(mean)) - float(column.show(control.mean))) > 0


def _certified(one: Figures) -> str:
    """How many of the targets' answers the attack certifies."""
    certified = one.record.certified
    return "" if certified is None else f"{certified} of {one.record.targets}"


def _control(one: Figures, column: Column) -> str:
    control = one.strongest.get(column.name)
    return "" if control is None or column.name not in one.scores else wording.control_in_words(column, control)


def _cell_link(one: Figures, link: Link) -> str:
    """The first digits of the cell's id, leading to its pictures if it has any."""
    short, picture = one.record.id[:8], link(one.record.id, "grid.png")
    return code(short) if picture is None else f"[{code(short)}]({picture})"
