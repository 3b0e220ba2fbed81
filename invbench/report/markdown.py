"""The report: GitHub-flavoured Markdown from a results folder alone."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from invbench.report import wording
from invbench.report.agreement import agreements
from invbench.report.crossing import ORDER, crossings
from invbench.report.figures import Figures
from invbench.report.frontier import frontiers
from invbench.report.frontier_page import frontier_sections
from invbench.report.headlines import counts, headlines
from invbench.report.legend import legend
from invbench.report.naive import LEGEND, Pairs, in_words, pairs_of
from invbench.report.naming import labels, varying
from invbench.report.published import published_section
from invbench.report.sections import Link, grouped, room, section
from invbench.report.tables import address, code, facts, table, text
from invbench.report.utility import Cost
from invbench.store import Record, Results
from invbench.store.utility import damaged_utilities

LISTS = {
    "failed": "Failed",
    "timeout": "Timed out",
    "unsupported": "Unsupported",
}
"""Statuses of cells without numbers and the headings of their lists."""

MOST_VALUES = 6
"""Values of an axis that are named of cells that were refused for one reason; more are counted."""
MOST_LISTED = 100
"""Cells of a list, above which it names reasons with the number of their cells; and rows of any list.

Cells that cannot be attacked are always told by their reasons: one reason holds for many.
"""


def document(
    results: Results,
    figures: Sequence[Figures],
    links_from: Path,
    utility: Mapping[str, Cost] = MappingProxyType({}),
) -> str:
    """The report of these cells. `links_from`: the folder in which the text will stand; links start there.

    `utility`: what the cells' defences cost in use, where the matrix asks for it.
    """
    link = _links(results, links_from)
    parts = [f"# invbench: {text(results.path.resolve().name)}", counts(figures, planned=len(results.plan()))]
    parts += headlines(figures)
    pairs = pairs_of(figures)
    parts += in_words(results, figures, pairs)
    for game, of_game in grouped(figures, lambda one: one.record.names["game"]).items():
        parts += crossings(of_game, str(game), pairs)
    parts += published_section(figures, results.published())
    if any(one.scores for one in figures):
        sheets = {one.record.names["game"]: one.sheet for one in figures if one.scores}
        measured = set().union(*(one.scores for one in figures))
        parts.append(legend(list(sheets.values()), measured, _beside(figures, pairs)))
    parts += frontier_sections(results, frontiers(figures, utility), links_from) if utility else []
    axes = ("game", "dataset", "batch_size", "protocol")
    groups = [*grouped(figures, lambda one: tuple(one.record.names[axis] for axis in axes)).values()]
    limits = room(groups)
    parts += [section(group, link, pairs, limits) for group in groups]
    parts += agreements(results, figures) if limits is None else []
    parts += [_without_numbers(figures, status) for status in LISTS]
    parts += [_notes(figures), _provenance(results, figures)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _beside(figures: Sequence[Figures], pairs: Pairs) -> list[str]:
    """Sentences of the legend about words that only some reports have."""
    own = any(one.own for one in figures)
    return [*([LEGEND] if pairs.by_twin else []), *([wording.OWN_LEGEND] if own else [])]


def _links(results: Results, links_from: Path) -> Link:
    there = os.path.relpath(results.path.resolve(), links_from.resolve())

    def link(cell: str, name: str) -> str | None:
        return address(there, "cells", cell, name) if results.has(cell, name) else None

    return link


def _without_numbers(figures: Sequence[Figures], status: str) -> str:
    """The cells of one status with their reasons, or nothing."""
    records = [one.record for one in figures if one.record.status == status]
    if not records:
        return ""
    heading = f"## {LISTS[status]} ({len(records):,})\n\n"
    if status != "unsupported" and len(records) <= MOST_LISTED:
        rows = [[code(r.id[:8]), text(wording.whole_cell(r.names)), text(_reason(r))] for r in records]
        return heading + table(["cell", "what", "reason"], rows)
    by_reason: dict[str, list[Record]] = {}
    for record in records:
        by_reason.setdefault(_reason(record), []).append(record)
    number = Counter({reason: len(cells) for reason, cells in by_reason.items()})
    axes = _varying(figures)
    rows = [
        [str(count), text(reason), text(_which(by_reason[reason], axes)), code(by_reason[reason][0].id[:8])]
        for reason, count in number.most_common(MOST_LISTED)
    ]
    listed = table(["cells", "reason", "which", "the first"], rows, right=frozenset({0}))
    return heading + _cut(listed, number, "reasons")


def _which(records: Sequence[Record], axes: Sequence[str]) -> str:
    """What cells of one reason are, in the axes in which the report's cells differ: `dlg, idlg; batch size 2, 4, 8`."""
    said = []
    for axis in axes or ("attack", "model"):
        values = [value for value in labels(record.names[axis] for record in records).values() if value]
        title = wording.WORDS.get(axis, axis)
        if len(values) > MOST_VALUES:
            said.append(f"{len(values)} values of {title}")
        elif values:
            said.append(f"{title} {', '.join(values)}")
    return "; ".join(said)


def _reason(record: Record) -> str:
    return record.reason or "no reason given"


def _notes(figures: Sequence[Figures]) -> str:
    """Every different note with the number of cells that made it, the most frequent first, and which these are."""
    by_note: dict[str, list[Record]] = {}
    for one in figures:
        for note in dict.fromkeys((*one.record.notes, *one.remarks)):
            by_note.setdefault(note, []).append(one.record)
    if not by_note:
        return ""
    counts, axes = Counter({note: len(records) for note, records in by_note.items()}), _varying(figures)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_LISTED]
    ran = sum(one.record.status == "ok" for one in figures)
    rows = [
        [str(count), text(note), "all" if count == ran else text(_which(by_note[note], axes))]
        for note, count in ordered
    ]
    return "## Notes\n\n" + _cut(table(["cells", "note", "which"], rows, right=frozenset({0})), counts, "notes")


def _varying(figures: Sequence[Figures]) -> Sequence[str]:
    """The axes in which the report's cells differ."""
    return varying((one.record.names for one in figures), ORDER)


def _cut(listed: str, counts: Counter[str], what: str) -> str:
    """The table, and how many rows it lacks."""
    lacking = len(counts) - MOST_LISTED
    return f"{listed}\n\n{lacking:,} more {what} stand in the records." if lacking > 0 else listed


def _provenance(results: Results, figures: Sequence[Figures]) -> str:
    """Where the numbers come from: machine, versions, revision, devices, data, what else lies in the folder."""
    found: dict[str, Any] = results.environment()
    if isinstance(words := found.get("command"), list):
        found["command"] = shlex.join(["invbench", *map(str, words)])
    for name in ("device", "torch"):
        values = {value for one in figures if (value := getattr(one.record, name)) is not None}
        found[f"cells computed with {name}"] = ", ".join(sorted(values)) or None
    sets = dict.fromkeys(_data_set(one.record.dataset) for one in figures if one.record.dataset)
    found |= {f"data set {number}": words for number, words in enumerate(sets, start=1)}
    lacking = sum(bool(results.lost(one.record)) for one in figures)
    found["gone"] = f"arrays or pictures of {wording.cells(lacking)}" if lacking else None
    older = results.older()
    found["not in this report"] = f"{wording.cells(older)} of earlier matrices in the same folder" if older else None
    if damaged := damaged_utilities(results).values():
        found["left out, damaged"] = "; ".join(words.removeprefix(f"{results.path}{os.sep}") for words in damaged)
    return "## Provenance\n\n" + facts(found)


def _data_set(dataset: Mapping[str, Any]) -> str:
    """A data set by its name, its file's name (whose folder is its owner's business) and its content's hash."""
    file = f", file {Path(dataset['path']).name}" if dataset.get("path") else ""
    return f"{dataset.get('name')}{file}, content {dataset.get('hash')}"
