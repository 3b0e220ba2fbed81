"""What `invbench show DIR CELL` prints: one cell's numbers, settings and picture."""

from __future__ import annotations

import difflib
from collections import Counter
from typing import Any

from invbench.core.errors import Refusal
from invbench.numbers.statistics import target_means
from invbench.report import wording
from invbench.report.figures import Figures, figures_of
from invbench.report.naming import labels, line, varying
from invbench.report.published import of_cell, published_section
from invbench.report.tables import code, facts, table, text
from invbench.report.told import each_told, told_record
from invbench.report.utility import cost_page, costs
from invbench.store import AXES, Record, Results
from invbench.store.utility import damaged_utilities

MOST_TARGETS = 32


class CellError(Refusal):
    """No cell, or more than one, begins with the word given; the message names the nearest ids, or how to list them."""


def cell_page(results: Results, word: str) -> str:
    """The page of the cell whose id is `word` or begins with it, as Markdown that reads well as it is.

    CellError where no cell or several match; StoreError where the folder or the record cannot be read.
    """
    id = find_cell(results, word)
    record = results.record(id)
    if record is None:
        return f"# Cell {id}\n\nPlanned, not computed yet.\n"
    record = told_record(record, results.defaults())
    figures = figures_of(record)
    parts = [f"# Cell {id}", text(wording.whole_cell(record.names)), _outcome(record, figures)]
    if figures.scores:
        parts += ["## Numbers", _numbers(figures), _by_target(record, figures)]
    if (cost := costs(results).get(id)) is not None:
        parts += ["## Utility", cost_page(cost)]
    elif (wrong := damaged_utilities(results).get(results.federations().get(id, ""))) is not None:
        parts += ["## Utility", text(f"left out, damaged: {wrong}")]
    parts += published_section([figures], of_cell(results.published(), id))
    parts += ["## Files", _files(results, record), "## Settings", facts(record.settings)]
    if notes := (*record.notes, *figures.remarks):
        parts += ["## Notes", "\n".join(f"- {text(note)}" for note in notes)]
    return "\n\n".join(parts) + "\n"


def cell_list(results: Results) -> str:
    """A line a cell of the plan: its id, how it ended, and in what it differs from others; StoreError as for
    `cell_page`."""
    found = {record.id: record for record in each_told(results)}
    records = {id: found.get(id) for id in results.plan()}
    names = [record.names for record in records.values() if record is not None]
    axes = varying(names, AXES) or ["attack", "model"]
    short = {axis: labels(one.get(axis) for one in names) for axis in axes}
    lines = []
    for id, record in records.items():
        what = "not run yet" if record is None else f"{record.status:11}  {line(record.names, axes, short)}"
        lines.append(f"{id}  {what}\n")
    return "".join(lines) or "No cells.\n"


def find_cell(results: Results, word: str) -> str:
    """The one id, planned or computed, that is `word` or begins with it."""
    ids = list(dict.fromkeys([*results.plan(), *results.computed()]))
    wanted = word.strip().lower()
    matches = [id for id in ids if id.startswith(wanted)] if wanted else []
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise CellError(f"{len(matches)} cells begin with {word!r}: {_quoted(matches)}")
    nearest = difflib.get_close_matches(wanted, ids, n=3, cutoff=0.7)
    hint = f"; nearest: {_quoted(nearest)}" if nearest else f"; `invbench show {results.path}` lists its cells"
    raise CellError(f"no cell {word!r} in {results.path}{hint}" if ids else f"{results.path} has no cells")


def _quoted(ids: list[str]) -> str:
    shown = ", ".join(repr(id) for id in ids[:5])
    return f"{shown}, ..." if len(ids) > 5 else shown


def _outcome(record: Record, figures: Figures) -> str:
    """Status, reason or finding, cost: a table of facts."""
    pairs: dict[str, Any] = {"status": record.status, "reason": record.reason}
    if record.status == "ok":
        pairs["above the strongest control"] = wording.finding(figures)
    pairs |= {"targets": record.targets, figures.sheet.said.item.many: record.images, "diverged": record.diverged}
    pairs["certified"] = None if record.certified is None else f"{record.certified} of {record.targets}"
    pairs["answers by"] = _winners(record)
    pairs["evaluations"] = figures.evaluations
    pairs["lanes stopped"] = _stopped(record)
    seconds = {name: f"{value:.3g} s" for name, value in record.seconds.items()}
    pairs |= {f"wall time of the {name}": words for name, words in seconds.items()}
    pairs["peak memory"] = None if record.memory_mb is None else f"{record.memory_mb:.0f} MB"
    pairs |= {"device": record.device, "torch": record.torch}
    pairs |= {f"data set {key}": value for key, value in record.dataset.items()}
    return facts(pairs)


def _winners(record: Record) -> str | None:
    """Which part of the attack gave how many answers, where it has parts."""
    parts = Counter(str(said["part"]) for said in record.facts if "part" in said)
    return ", ".join(f"{part} {number}" for part, number in parts.most_common()) or None


def _stopped(record: Record) -> str | None:
    """Why the attack's optimisation runs stopped, and how many each; what a longer run would change."""
    counts = ", ".join(f"{why} {number}" for why, number in record.stopped.items())
    falling = record.stopped.get("budget spent")
    hint = " (budget spent: those still fell, so more iterations would help)" if falling else ""
    return counts + hint or None


def _numbers(figures: Figures) -> str:
    """A row a metric: mean, standard deviation, interval, and every control's mean."""
    controls = list(figures.record.controls)
    header = ["metric", "mean", "std", "95 % interval", *(f"control {text(name)}" for name in controls)]
    rows = []
    for metric, summary in figures.scores.items():
        column = figures.sheet.column(metric)
        show = column.show
        interval = wording.interval(column, summary)
        means = [show(figures.controls.get(metric, {}).get(name)) for name in controls]
        rows.append([text(wording.column_title(column)), show(summary.mean), show(summary.std), interval, *means])
    return table(header, rows, right=frozenset(range(1, len(header))))


def _by_target(record: Record, figures: Figures) -> str:
    """A row a target: each metric's mean over its items, and what the attack itself knows."""
    every = [figures.sheet.column(metric) for metric in figures.scores]
    columns = [column for column in every if not column.pooled and column.statistic is None]
    means = {column.name: target_means(record.scores[column.name]) for column in columns}
    rows = []
    for k in range(min(record.targets, MOST_TARGETS)):
        values = [column.show(means[column.name][k]) for column in columns]
        objective = record.objectives[k] if k < len(record.objectives) else None
        evaluations = str(record.evaluations[k]) if k < len(record.evaluations) else ""
        rows.append([str(k), *values, evaluations, "" if objective is None else f"{objective:.3g}"])
    header = ["target", *(text(wording.column_title(column)) for column in columns), "evaluations", "objective"]
    listed = table(header, rows, right=frozenset(range(len(header))))
    hidden = record.targets - len(rows)
    return listed + (f"\n\n{hidden} more targets stand in the record." if hidden else "")


def _files(results: Results, record: Record) -> str:
    """Paths of what is kept of the cell, and what was kept and is gone."""
    folder = results.cell(record.id)
    names = {"picture": "grid.png", "arrays": "arrays.npz", "record": "record.json"}
    there = [f"- {what}: {code(folder / name)}" for what, name in names.items() if results.has(record.id, name)]
    return "\n".join([*there, *(f"- gone: {code(folder / name)}" for name in results.lost(record))])
