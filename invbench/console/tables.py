"""Tables and lists of the terminal."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from invbench.console.saying import say
from invbench.console.terminal import Terminal, table
from invbench.console.wording import broken, count, reflowed
from invbench.gate import Verdict, passed
from invbench.report.comparison import comparison, listed_alone
from invbench.report.naming import labels, line, varying
from invbench.store import AXES

if TYPE_CHECKING:
    from invbench.guide.catalogue import Page
    from invbench.guide.doctor import Finding
    from invbench.store import Merged, Record


NARROW, WHAT, METRIC, BETWEEN = 60, 12, 14, 2
"""Columns of the terminal and of a cell's words below which a table of seven columns would break its words; the most of
a metric's name; and those between two columns."""


def print_outcome(records: Sequence[Record], folder: Path) -> None:
    """How the cells ended and where to look."""
    counts = Counter(record.status for record in records)
    say(", ".join(f"{number} {status}" for status, number in counts.most_common()) or "no cells")
    say(f"report:   {folder / 'report.md'}")
    say(f"table:    {folder / 'summary.csv'}")
    if any(os.path.exists(folder / "cells" / record.id / "grid.png") for record in records):
        say(f"pictures: {folder / 'cells'}/*/grid.png")


def print_merged(merged: Merged, folder: Path) -> None:
    """How many cells came from where, which are missing, and where to look."""
    for source, cells in merged.taken.items():
        say(f"{cells:>7} from {source}")
    say(f"{merged.cells - len(merged.missing)} of {count(merged.cells, 'cell')}")
    if merged.missing:
        few = ", ".join(merged.missing[:5]) + (", ..." if len(merged.missing) > 5 else "")
        say(f"missing: {count(len(merged.missing), 'cell')} that no folder has: {few}", err=True)
    say(f"report:   {folder / 'report.md'}")
    say(f"table:    {folder / 'summary.csv'}")


def print_check(verdicts: Sequence[Verdict]) -> None:
    """What moved, one row a metric, and why it counts; then whether it passes."""
    moved = [verdict for verdict in verdicts if verdict.outcome != "same" or verdict.message]
    if moved:
        _print_verdicts(moved)
        say("")
        for reason in dict.fromkeys(f"{v.cell[:8]}  {v.outcome}: {v.message}" for v in moved if v.message):
            Terminal().print(reason)
    counts = Counter(verdict.outcome for verdict in verdicts)
    words = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    say(f"{'passed' if passed(verdicts) else 'NOT passed'}: {words or 'nothing to compare'}")


def print_comparison(verdicts: Sequence[Verdict], markdown: bool) -> None:
    """What differs between two results; as Markdown every metric of every cell."""
    if markdown or not verdicts:
        say(comparison(verdicts), end="")
        return
    rows, alone = listed_alone([verdict for verdict in verdicts if verdict.outcome != "same" or verdict.difference])
    if rows:
        _print_verdicts(rows)
    for words in alone:
        say(words)
    counts = Counter(verdict.outcome for verdict in verdicts)
    equal = sum(verdict.outcome == "same" and not verdict.difference for verdict in verdicts)
    said = ", ".join(f"{number} {outcome}" for outcome, number in counts.most_common())
    say(f"{said}; {count(equal, 'value')} equal, not listed")


def print_catalogue(names: Mapping[str, Sequence[str]]) -> None:
    """All names by kind."""
    rows = table("kind", "names")
    for kind, listed in names.items():
        rows.add_row(kind, ", ".join(listed))
    Terminal().print(rows)
    say("more: invbench list KIND, invbench list KIND NAME")


def print_names(kind: str, summaries: Sequence[tuple[str, str]]) -> None:
    """One kind's names and what each is."""
    rows = table(kind, "what it is")
    for name, summary in summaries:
        rows.add_row(name, summary)
    Terminal().print(rows)


def print_part(page: Page) -> None:
    """One part: what it is, where it comes from, its settings."""
    Terminal().print(f"{page.name}\n\n{reflowed(page.text)}\n")
    if page.settings:
        rows = table("setting", "type", "default", "meaning")
        for row in page.settings:
            rows.add_row(*row)
        Terminal().print(rows)


def print_findings(findings: Sequence[Finding]) -> None:
    """What works, what is missing, what is optional."""
    marks = {True: "ok", False: "BROKEN", None: "-"}
    rows = table("what", "", "detail")
    for finding in findings:
        rows.add_row(finding.what, marks[finding.works], finding.detail)
    Terminal().print(rows)


def _print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """A row a metric, the cell named by what differs between these; below `NARROW` columns two lines a metric."""
    axes = varying((v.names for v in verdicts), AXES) or ["attack", "model"]
    named = {axis: labels(v.names.get(axis) for v in verdicts) for axis in axes}
    console, header = Terminal(), ("cell", "what", "metric", "before", "after", "moved by", "outcome")
    whats = [line(v.names, axes, named) for v in verdicts]
    rows = [
        (v.cell[:8], what, broken(v.metric or "", METRIC), *_moved(v)) for v, what in zip(verdicts, whats, strict=True)
    ]
    widths = [
        max(len(one) for cell in column for one in cell.split("\n")) for column in zip(header, *rows, strict=True)
    ]
    room = console.width - (sum(widths) - widths[1]) - BETWEEN * (len(header) - 1)
    if console.width >= NARROW and room >= WHAT:
        made = table(*header)
        for cell, what, *rest in rows:
            made.add_row(cell, broken(what, room), *rest)
        console.print(made)
        return
    for v, what in zip(verdicts, whats, strict=True):
        before, after, by, _ = _moved(v)
        console.print(f"{v.cell[:8]}  {what}")
        numbers = f"{before or '-'} -> {after or '-'} {f'({by})' if by else ''}".rstrip()
        console.print(f"  {v.outcome}: {f'{v.metric} {numbers}' if v.metric else 'the cell'}")


def _moved(v: Verdict) -> tuple[str, str, str, str]:
    """Before, after, by how much, and what came of it."""
    before, after = ("" if n is None else f"{n:.4g}" for n in (v.before, v.after))
    return before, after, "" if v.difference is None else f"{v.difference:+.3g}", v.outcome
