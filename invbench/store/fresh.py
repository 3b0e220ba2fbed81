"""Which cells a fresh run has still to compute again, so that a run that was interrupted goes on fresh."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from invbench.store.cells import CELL_ID, RECORD
from invbench.store.files import Absent, StoreError, disk
from invbench.store.reading import read_bytes, read_json
from invbench.store.results import Results
from invbench.store.writing import remove, write_atomic

FRESH = "fresh.json"
"""Cells that a fresh run has still to compute again, each with a hash of the record that it is to replace."""


def begin(results: Results, ids: Iterable[str]) -> None:
    """Note that these cells are to be computed again, whatever they have; kept until they were (`end`)."""
    now = {id: mark for id in ids if (mark := _mark(results, id)) is not None}
    _write(results, _noted(results) | now)


def of_before(results: Results) -> frozenset[str]:
    """Cells whose records are still those of before a fresh run that has not ended."""
    return frozenset(id for id, mark in _noted(results).items() if _mark(results, id) == mark)


def end(results: Results, ids: Iterable[str]) -> None:
    """Note that the run of these cells has ended."""
    done = set(ids)
    if marks := _noted(results):
        _write(results, {id: mark for id, mark in marks.items() if id not in done})


def _noted(results: Results) -> dict[str, str]:
    path = results.path / FRESH
    try:
        plain = read_json(path)
    except Absent:
        return {}
    if not isinstance(plain, dict) or not all(CELL_ID.fullmatch(id) and isinstance(plain[id], str) for id in plain):
        raise StoreError(f"{path}: is not invbench's list of cells to compute again; without it they are kept")
    return plain


def _write(results: Results, marks: Mapping[str, str]) -> None:
    path = results.path / FRESH
    if marks:
        write_atomic(path, json.dumps(dict(marks), indent=2, sort_keys=True) + "\n")
    else:
        with disk(path):
            remove(path)


def _mark(results: Results, id: str) -> str | None:
    """A hash of a cell's record, which holds how long it took: no record of another run has the same."""
    try:
        return hashlib.sha256(read_bytes(results.cell(id) / RECORD)).hexdigest()[:16]
    except Absent:
        return None
