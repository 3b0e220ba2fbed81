"""What a results folder holds of a matrix already: cells that are done, damaged records, cells that lack a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from invbench.cell import Cell
from invbench.play.asking import requested_controls
from invbench.store import Damaged, Results

MOST_TOLD = 20
"""Damaged records, and kept cells that lack a file, that are told one by one."""


def taken_stock(cells: Iterable[Cell], results: Results, tell: Callable[[str], None]) -> set[str]:
    """Ids of these cells that are done. Whoever calls it holds the folder's lock.

    A damaged record gets another name, so that its cell is computed again and nothing that reads the folder meets it.
    """
    done, damaged, lacking = set[str](), list[str](), list[str]()
    for cell in cells:
        try:
            record = results.record(cell.id)
        except Damaged as error:
            damaged.append(f"{error}; kept as {results.set_aside(cell.id).name}, and its cell is computed again")
            continue
        if record is None or not record.done(requested_controls(cell)):
            continue
        done.add(cell.id)
        if lost := results.lost(record):
            lacking.append(f"{results.cell(cell.id)}: no {' and no '.join(lost)} any more; --fresh computes all again")
    for lines, what in ((damaged, "damaged records"), (lacking, "cells that lack a file")):
        hidden = len(lines) - MOST_TOLD
        for line in [*lines[:MOST_TOLD], *([f"... and {hidden} more {what}"] if hidden > 0 else [])]:
            tell(line)
    return done
