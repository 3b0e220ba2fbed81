"""A frontier in a report: its picture, its table, and what its numbers alone say."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from invbench.report import wording
from invbench.report.frontier import Frontier, Point, surely_less_accurate, surely_less_leak
from invbench.report.frontier_plot import frontier_png
from invbench.report.leaks import Control
from invbench.report.tables import address, code, table, text
from invbench.report.utility import seconds, spread
from invbench.store import Results, write_atomic

PICTURE = "frontier-{}.png"
MOST_FRONTIERS = 24
"""That a report shows; each has its cells in the tables."""
MOST_GUARANTEES = 12
"""Sentences on epsilons under one table; the notes hold all of them."""


def write_frontiers(results: Results, found: Sequence[Frontier]) -> None:
    """The pictures of a result's frontiers, beside its report."""
    for number, frontier in enumerate(found[:MOST_FRONTIERS], start=1):
        write_atomic(results.path / PICTURE.format(number), frontier_png(frontier))


def frontier_sections(results: Results, found: Sequence[Frontier], links_from: Path) -> list[str]:
    """A section a frontier, with its picture where that is in the folder."""
    there, sections = os.path.relpath(results.path.resolve(), links_from.resolve()), []
    for number, frontier in enumerate(found[:MOST_FRONTIERS], start=1):
        name = PICTURE.format(number)
        drawn = os.path.isfile(results.path / name)
        sections.append(frontier_section(frontier, address(there, name) if drawn else None))
    if len(found) > MOST_FRONTIERS:
        sections.append(
            f"{len(found) - MOST_FRONTIERS} more frontiers are not shown; `summary.csv` holds their numbers."
        )
    return sections


def frontier_section(frontier: Frontier, picture: str | None) -> str:
    """One frontier as Markdown. `picture`: its address, None where there is none."""
    parts = [f"## Leak against accuracy: {_heading(frontier)}", _how(frontier)]
    if picture is not None:
        parts.append(f"![leak against accuracy]({picture})")
    parts += [_table(frontier), "\n".join(f"- {line}" for line in _words(frontier))]
    return "\n\n".join(parts)


def _heading(frontier: Frontier) -> str:
    names = frontier.names
    batch = "" if names["batch_size"] is None else f", batch size {names['batch_size']}"
    return text(f"{names['model']}, {names['dataset']}{batch}, {names['protocol']}")


def _how(frontier: Frontier) -> str:
    """What was trained, in one sentence."""
    records = [one for point in frontier.points for one in point.cost.records if one.status == "ok"]
    utility, seeds = records[0].settings["utility"], len({one.names["seed"] for one in records})
    split = f"dirichlet({utility['alpha']:g})" if utility["split"] == "dirichlet" else utility["split"]
    over = f"over {seeds} seeds" if seeds > 1 else "over held-out pictures (one seed)"
    return (
        f"Accuracy: {utility['rounds']} rounds of {records[0].clients} of {utility['clients']} clients ({split}), each "
        f"with {utility['batch_size']} pictures whatever batch is attacked, by {text(utility['optimizer'])} at a peak "
        f"rate of {utility['lr']:g}; on {records[0].held_out:,} held-out pictures, intervals {over}. Leak: the "
        f"strongest attack by {text(frontier.metric.written)}, chosen after the fact. ★, and a full mark: no other row "
        f"leaks less at no less accuracy, or as much at more.{_limits(frontier)}"
    )


def _limits(frontier: Frontier) -> str:
    if all(point.limit is None for point in frontier.points):
        return ""
    return (
        " Limit: how far any attack of a stated kind gets on average over pictures like these, with the prior where the"
        " row has that, else without bias."
    )


def _table(frontier: Frontier) -> str:
    """A row a point; columns that no point has a value in are left out."""
    metric, bare = frontier.metric, frontier.bare
    columns: list[tuple[str, Callable[[Point], str]]] = [
        ("", lambda point: f"{point.number}{' ★' if point.unbeaten else ''}"),
        ("defence", lambda point: code(point.label)),
        ("strongest attack", lambda point: code(point.attack)),
        (
            text(wording.column_title(metric)),
            lambda point: f"{metric.show(point.leak.mean)} {wording.interval(metric, point.leak)}".strip(),
        ),
        ("limit", lambda point: metric.show(point.limit)),
        ("epsilon", lambda point: "" if point.epsilon is None else f"{point.epsilon:.3g}"),
        ("accuracy", lambda point: spread(point.accuracy)),
        ("s a round", lambda point: seconds(point.cost.seconds)),
        ("bytes a message", lambda point: _bytes(point, bare)),
    ]
    rows = [[show(point) for _, show in columns] for point in frontier.points]
    kept = [k for k in range(len(columns)) if any(row[k] for row in rows)]
    header = [columns[k][0] for k in kept]
    right = frozenset(place for place, k in enumerate(kept) if k >= 3)
    return table(header, [[row[k] for k in kept] for row in rows], right=right)


def _bytes(point: Point, bare: Point | None) -> str:
    """Bytes that one client sends a round, and how many times those without a defence."""
    sent, without = point.cost.message_bytes, None if bare is None else bare.cost.message_bytes
    if sent is None:
        return ""
    return f"{sent:,.0f}" if not without or point is bare else f"{sent:,.0f} ({sent / without:.3g}x)"


def _words(frontier: Frontier) -> list[str]:
    """What the numbers alone say."""
    metric, bare = frontier.metric, frontier.bare
    lines = []
    if frontier.control is not None:
        nothing = wording.with_unit(metric, frontier.control.mean)
        lines.append(
            f"Who reads nothing has {nothing} (control {text(frontier.control.name)}): beyond it is a leak, and short"
            " of it only what another metric shows."
        )
        lines += _shown_otherwise(frontier, frontier.control)
    lines += [f"Beaten on both counts by nothing measured here: {_listed([p for p in frontier.points if p.unbeaten])}."]
    others = [point for point in frontier.points if point is not bare]
    if bare is not None and others:
        less = [point for point in others if surely_less_leak(point, bare, metric)]
        dear = [point for point in others if surely_less_accurate(point, bare)]
        cheap = [point for point in less if point not in dear]
        lines += [
            f"Leaks surely less than without a defence, at an accuracy that is not surely lower: {_listed(cheap)}.",
            f"Leaks surely less, at an accuracy that is surely lower: {_listed([p for p in less if p in dear])}.",
            f"Costs accuracy for sure and does not surely leak less: {_listed([p for p in dear if p not in less])}.",
            f"Shows neither: {_listed([p for p in others if p not in less and p not in dear])}.",
        ]
    lines += [*_room(frontier), *_guarantees(frontier)]
    lines += [f"Not drawn: {code(label)}: {text(reason)}." for label, reason in frontier.left_out.items()]
    return [*lines, "Surely: 95 % intervals lie apart. Which row leaks least is chosen from these numbers themselves."]


def _shown_otherwise(frontier: Frontier, control: Control) -> list[str]:
    """The points that look as if nothing were read of them, and are read by another metric."""
    below = [p for p in frontier.points if p.also and frontier.metric.gain(p.leak.mean - control.mean) <= 0]
    said = ", ".join(f"{code(point.label)} by {' and '.join(map(text, point.also))}" for point in below)
    return [f"Short of it and yet surely read: {said}."] if below else []


def _room(frontier: Frontier) -> list[str]:
    """What lies between attack and limit, where better attacks may come; and limits that leave nothing to them."""
    metric, control = frontier.metric, frontier.control
    limited = [(point, point.limit) for point in frontier.points if point.limit is not None]
    low = [p for p, limit in limited if control is not None and metric.gain(limit - control.mean) <= 0]
    above = [(p, metric.gain(limit - p.leak.mean)) for p, limit in limited if p not in low]
    room = [f"{code(p.label)} by {wording.with_unit(metric, gain)}" for p, gain in above if gain > metric.least_gain]
    lines = (
        [f"Limit above the strongest attack, so that a better one may read more: {', '.join(room)}."] if room else []
    )
    if low:
        lines.append(f"Limit no higher than what reading nothing has: {_listed(low)}.")
    return lines


def _guarantees(frontier: Frontier) -> list[str]:
    """Of what each epsilon is: they protect unlike things for unlike times, and no number says so."""
    having = [point for point in frontier.points if point.epsilon is not None]
    if not having:
        return []
    lines = [f"{code(point.label)} guarantees {text(point.guarantee)}." for point in having if point.guarantee]
    lines = lines[:MOST_GUARANTEES] + (
        [f"{len(lines) - MOST_GUARANTEES} more: see the notes."] if len(lines) > MOST_GUARANTEES else []
    )
    once = [point for point in having if ", one round;" in point.guarantee]
    if once:
        lines.append(
            f"Rounds add up, so an epsilon of one round is none of the {_rounds(frontier)} rounds that accuracy is"
            f" after: {_listed(once)}."
        )
    return [*lines, "No other row has a guarantee: of those only attacks tell, and better ones may come."]


def _rounds(frontier: Frontier) -> int:
    """Of the trainings for accuracy."""
    records = [one for point in frontier.points for one in point.cost.records if one.status == "ok"]
    return int(records[0].settings["utility"]["rounds"])


def _listed(points: Sequence[Point]) -> str:
    return ", ".join(code(point.label) for point in points) or "no row"
