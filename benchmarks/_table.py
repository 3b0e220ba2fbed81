"""The answer to one question, and how it is written as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from _raw import Facts

MIXED = "**Not of one revision; to be measured again:** {revisions}. No claim rests on this table."


@dataclass(frozen=True)
class Table:
    """One question and its answer, computed from settings and samples alone.

    `rows`: cells as text, one list a row, as long as `columns`. `failed`: trials of a side that did not end, each in
    words; a table's means count them. `plots`: files in benchmarks/.
    """

    title: str
    question: str
    command: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: Sequence[str] = ()
    failed: Sequence[str] = ()
    plots: Sequence[str] = ()


def section(name: str, table: Table, facts: Facts) -> str:
    """The section of report.md; a table that is not of one clean revision says so under its title."""
    lines = [f"## {table.title}", ""]
    if not facts.one_revision:
        lines += [MIXED.format(revisions=", ".join(facts.revisions)), ""]
    lines += [table.question, "", *markdown(table)]
    for paragraph in table.text:
        lines += ["", paragraph]
    if table.failed:
        lines += ["", "Failed trials, counted above:", "", *(f"- {text}" for text in table.failed)]
    lines += [f"\n![{plot}]({plot})" for plot in table.plots]
    return "\n".join(
        [*lines, "", f"Command: `{table.command}`. {where(facts)}. Raw samples: [{name}](raw/{name}.json)."]
    )


def markdown(table: Table) -> list[str]:
    """The lines of the table."""
    return [
        "| " + " | ".join(table.columns) + " |",
        "|" + "---|" * len(table.columns),
        *("| " + " | ".join(row) + " |" for row in table.rows),
    ]


def where(facts: Facts) -> str:
    """Revision, machine and versions in one line."""
    revisions = f"Revision {facts.revisions[0]}" if len(facts.revisions) == 1 else f"{len(facts.revisions)} revisions"
    load = f"load {facts.load:.1f} on {facts.cores} processors" if facts.load is not None else "load not kept"
    packages = [f"{name} {found or 'not installed'}" for name, found in facts.packages.items()]
    machine = [facts.processor, facts.gpu or "device cpu", f"threads {facts.threads}", load]
    return ", ".join([f"{revisions} ({facts.day})", *machine, f"Python {facts.python}", *packages])
