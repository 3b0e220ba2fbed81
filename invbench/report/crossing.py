"""The first tables of a report: one axis down, one across, the strength of the attack in each place.

The axes are chosen from those in which the cells differ. A place holds several cells where they differ in other axes
too; it shows the one that leaks most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from invbench.report import wording
from invbench.report.figures import Figures, leading
from invbench.report.naive import KNOWLEDGE, Pairs
from invbench.report.naming import labels, varying
from invbench.report.sections import strongest
from invbench.report.tables import code, table, text

ORDER = ("defense", "attack", "batch_size", "model", "protocol", "dataset", "seed")
"""Axes in the order in which they are asked about: the first that varies stands in every table."""
MOST_DOWN, MOST_ACROSS = 40, 12
"""Values of an axis that a table has room for; one with more is no table that anybody reads."""
WIDEST = 60
"""Characters of the names across together that a page has room for, beside the numbers."""
MARKS = {wording.NOTHING: "nothing", wording.UNSURE: "unsure"}


def crossings(figures: Sequence[Figures], game: str, paired: Pairs) -> list[str]:
    """Headings, captions and tables of one game's cells; nothing where nothing can be set against another.

    A place shows the stronger of an attack that knows the defence and its naive twin.
    """
    figures = paired.under_one_name(figures)
    sheet = figures[0].sheet
    if sheet.plain is not None or not any(sheet.first in one.scores for one in figures):
        return []
    axes = [axis for axis in varying((one.record.names for one in figures), ORDER) if _room_for(figures, axis)]
    if not axes:
        return []
    first, others = axes[0], [axis for axis in axes[1:] if axis != "seed"] or axes[1:]
    pairs = [(first, other) for other in others] or [("attack" if first != "attack" else "model", first)]
    beside = (KNOWLEDGE,) if any(paired.of(one) for one in figures) else ()
    metric = leading(figures)
    return [part for pair in pairs for part in _crossing(figures, game, metric, *pair, beside)]


def _room_for(figures: Sequence[Figures], axis: str) -> bool:
    return len({one.record.names[axis] for one in figures}) <= MOST_DOWN


def _crossing(
    figures: Sequence[Figures], game: str, metric: str, one_axis: str, other: str, beside: Sequence[str] = ()
) -> list[str]:
    named = {axis: labels(one.record.names[axis] for one in figures) for axis in (one_axis, other)}
    across = _across(named)
    if across is None:
        return []
    down = other if across == one_axis else one_axis
    places: dict[tuple[object, object], list[Figures]] = {}
    for one in figures:
        places.setdefault((one.record.names[down], one.record.names[across]), []).append(one)
    header = [_title(down), *(_written(across, named[across], v) for v in named[across])]
    rows = [
        [_written(down, named[down], at), *(_place(places.get((at, over), []), metric) for over in named[across])]
        for at in named[down]
    ]
    sheet = figures[0].sheet
    column = wording.column_title(sheet.column(metric))
    heading = f"## {text(f'{column}: {_title(down)} by {_title(across)}, game {game}')}"
    folded = [_title(axis) for axis in varying((one.record.names for one in figures), ORDER)]
    folded = [title for title in folded if title not in (_title(down), _title(across))] + [*beside]
    right = frozenset(range(1, len(header)))
    return [heading, table(header, rows, right), _caption(figures, metric, folded)]


def _across(named: Mapping[str, Mapping[object, str]]) -> str | None:
    """The axis whose names are shorter together, but none of one value where the other one fits; None: none fits."""
    widths = {axis: sum(map(len, of_axis.values())) for axis, of_axis in named.items()}
    fitting = [axis for axis in named if len(named[axis]) <= MOST_ACROSS]
    several = [axis for axis in fitting if len(named[axis]) > 1 and widths[axis] <= WIDEST]
    return min(several or fitting, key=widths.__getitem__, default=None)


def _caption(figures: Sequence[Figures], metric: str, folded: Sequence[str]) -> str:
    """What stands in a place, the marks that are used, and the controls."""
    column = figures[0].sheet.column(metric)
    said = [f"{column.written} of each cell"]
    if folded:
        said = [f"Each place is the cell that leaks most of those that differ in {', '.join(folded)}"]
    controls = [control.mean for one in figures if (control := one.strongest.get(metric)) is not None]
    if controls:
        ends = dict.fromkeys(wording.with_unit(column, end) for end in (min(controls), max(controls)))
        said.append(f"the strongest control has {' to '.join(ends)}")
    marks = '"nothing": read nothing beyond its control; "unsure": maybe'
    return f"{'; '.join(said)}. {marks}." if any(map(_mark, figures)) else f"{'; '.join(said)}."


def _place(cells: Sequence[Figures], metric: str) -> str:
    """The strongest of these cells, marked where it read nothing; else why there is no number."""
    counted = [one for one in cells if metric in one.scores and one.nothing_to_read is None]
    if not counted and (others := [one for one in cells if one.leak is not None and one.nothing_to_read is None]):
        return _by_another(others)
    if not counted:
        statuses = dict.fromkeys(
            wording.NOT_READABLE
            if one.nothing_to_read
            else "no value"
            if one.record.status == "ok"
            else one.record.status
            for one in cells
        )
        return ", ".join(statuses)
    best = strongest(counted, metric)
    assert best is not None
    column = best.sheet.column(metric)
    return f"{column.show(best.scores[metric].mean)} {_mark(best)}".rstrip()


def _by_another(cells: Sequence[Figures]) -> str:
    """The strongest of cells without the game's first metric, by their first evidence: `extracted 0.500`."""
    pairs = [(one, one.leak) for one in cells if one.leak is not None]
    best, leak = max(pairs, key=lambda pair: (pair[0].shown is not None, pair[1].gain))
    column = best.sheet.column(leak.metric)
    return f"{column.written} {column.show(best.scores[column.name].mean)} {_mark(best)}".rstrip()


def _mark(one: Figures) -> str:
    if one.leak is None or one.shown is not None:
        return ""
    return MARKS[wording.UNSURE if one.unsure else wording.NOTHING]


def _title(axis: str) -> str:
    return wording.WORDS.get(axis, axis)


def _written(axis: str, named: Mapping[object, str], value: object) -> str:
    return code(named[value]) if isinstance(value, str) else named[value]
