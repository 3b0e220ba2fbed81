"""Results of one matrix, computed in several places, as one folder.

What two folders have of one cell must agree: a result that ended replaces a failure, the one with more controls
replaces the one with fewer, and two that differ are refused. Nothing but the folder merged into is ever changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from invbench.store.files import StoreError
from invbench.store.record import Record
from invbench.store.results import Results
from invbench.store.utility import merged_utilities, write_utility


@dataclass(frozen=True)
class Merged:
    """`taken`: cells by the folder that they came from. `missing`: ids of cells that no folder has."""

    cells: int
    taken: Mapping[Path, int]
    missing: tuple[str, ...]


def merge(
    sources: Sequence[Results],
    into: Results,
    command: Sequence[str],
    conclude: Callable[[Results], None] = lambda results: None,
) -> Merged:
    """Bring the cells of all `sources` together in `into`, which keeps what it has. `conclude` comes last.

    StoreError, and nothing written, where they are results of different matrices, where two have different results
    of one cell, or where a record is damaged. Cells of earlier matrices in a source stay behind in it.
    """
    folders = _each_once([*([into] if (into.path / "plan.json").exists() else []), *sources])
    plans = {results.path: results.plan() for results in folders}
    for results in folders[1:]:
        _refuse_other_matrix(folders[0], results, plans)
    plan = plans[folders[0].path]
    origin = {id: found for id in plan if (found := _best(id, folders)) is not None}
    trained = merged_utilities(folders)
    environment = {**_common([results.environment() for results in folders]), "command": list(command)}
    with into.lock():
        first = folders[0]
        into.create(first.matrix_text(), plan, environment, first.federations(), first.published(), first.defaults())
        for id, results in origin.items():
            if results.path != into.path:
                into.copy(id, results)
        for utility in trained:
            write_utility(into, utility)
        conclude(into)
    counts = Counter(results.path for results in origin.values())
    taken = {results.path: counts[results.path] for results in folders}
    return Merged(len(plan), taken, tuple(id for id in plan if id not in origin))


def _each_once(folders: Sequence[Results]) -> list[Results]:
    found: dict[Path, Results] = {}
    for results in folders:
        found.setdefault(results.path.resolve(), results)
    return list(found.values())


def _refuse_other_matrix(first: Results, other: Results, plans: Mapping[Path, Sequence[str]]) -> None:
    ours, theirs = set(plans[first.path]), set(plans[other.path])
    if ours == theirs:
        return
    raise StoreError(
        f"{other.path}: is the result of another matrix than {first.path}: {len(ours & theirs)} cells are in both, "
        f"{len(ours - theirs)} only in {first.path}, {len(theirs - ours)} only in {other.path}; "
        + _first_difference(first, other)
    )


def _first_difference(first: Results, other: Results) -> str:
    lines = [results.matrix_text().splitlines() for results in (first, other)]
    for number, (ours, theirs) in enumerate(zip_longest(*lines, fillvalue=""), start=1):
        if ours != theirs:
            return (
                f"line {number} of matrix.yaml is {ours.strip()!r} in {first.path}, {theirs.strip()!r} in {other.path}"
            )
    return "matrix.yaml is the same, so the data, a part of another package or invbench itself differ"


def _best(id: str, folders: Sequence[Results]) -> Results | None:
    """The folder whose result of the cell is kept: the earlier of equals; None where none has one."""
    best: tuple[Results, Record] | None = None
    for results in folders:
        record = results.record(id)
        if record is None:
            continue
        if best is None:
            best = results, record
            continue
        kept = best[1]
        if kept.done() and record.done() and (kept.status, kept.scores) != (record.status, record.scores):
            raise StoreError(
                f"{best[0].cell(id)} and {results.cell(id)}: two different results of one cell ({_origin(kept)}, and "
                f"{_origin(record)}); leave one of the folders out, or compute the cell again in one with --fresh"
            )
        if (record.done(), len(record.controls)) > (kept.done(), len(kept.controls)):
            best = results, record
    return None if best is None else best[0]


def _origin(record: Record) -> str:
    return f"{record.status} on {record.device} with torch {record.torch}"


def _common(found: Sequence[Any]) -> Any:
    """What several environments say: mappings key by key, the value where they agree, else all of them in words."""
    if all(isinstance(one, dict) for one in found):
        keys = dict.fromkeys(key for one in found for key in one)
        return {key: _common([one[key] for one in found if key in one]) for key in keys}
    different = [one for k, one in enumerate(found) if one not in found[:k]]
    return different[0] if len(different) == 1 else "; ".join(map(str, different))
