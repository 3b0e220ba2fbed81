"""Which cells are left, who computes them, and the results folder kept whole meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from invbench import play
from invbench.cell import Cell
from invbench.executors import Advanced, Ended, Started, Task
from invbench.executors.local import execute
from invbench.matrix import Matrix
from invbench.progress import Progress
from invbench.store import Record, Results


@dataclass(frozen=True)
class Planned:
    """What a run is going to do: cells to compute, cells kept from before."""

    to_compute: int
    kept: int


@dataclass(frozen=True)
class Doing:
    """A worker is at this: a cell, or something made for several (`cell` None)."""

    worker: int
    what: str
    cell: Cell | None
    progress: Progress | None = None


@dataclass(frozen=True)
class Done:
    """A cell has its record."""

    record: Record
    worker: int | None = None


@dataclass(frozen=True)
class Made:
    """Something that several cells share is made (`problem`: or why it is not)."""

    what: str
    problem: str
    worker: int


News = Planned | Doing | Done | Made


def run(
    matrix: Matrix,
    cells: Sequence[Cell],
    results: Results,
    environment: dict[str, Any],
    *,
    device: str,
    workers: int,
    fresh: bool = False,
    listen: Callable[[News], None] = lambda news: None,
) -> list[Record]:
    """Compute those of `cells` that are not done, and return the records of all of them, in order.

    Only this process writes, and only while it holds the folder's lock. Interrupted anywhere, the folder
    holds every cell finished so far.
    """
    with results.lock():
        results.create(matrix.text, [cell.id for cell in matrix.cells], environment)
        left = [cell for cell in cells if fresh or not _is_done(results, cell)]
        playable = []
        listen(Planned(len(left), len(cells) - len(left)))
        for cell in left:
            reason = play.why_unsupported(cell)
            if reason is None:
                playable.append(cell)
            else:
                record = play.unplayed(cell, "unsupported", reason)
                results.write(record)
                listen(Done(record))
        for played, worker in _compute(playable, device, workers, matrix.threads, listen):
            results.write(played.record, played.arrays, played.grid)
            listen(Done(played.record, worker))
        found = [results.record(cell.id) for cell in cells]
        return [record for record in found if record is not None]


def default_workers(device: str, threads: int) -> int:
    """One worker a GPU; on a CPU as many as there are cores for."""
    if device.startswith("cuda"):
        return 1
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        cores = os.cpu_count() or 1
    return max(1, cores // threads)


def _is_done(results: Results, cell: Cell) -> bool:
    record = results.record(cell.id)
    return record is not None and record.done(play.requested_controls(cell))


def _compute(
    cells: Sequence[Cell], device: str, workers: int, threads: int, listen: Callable[[News], None]
) -> Iterator[tuple[play.Played, int]]:
    by_key = {cell.id: cell for cell in cells}
    tasks, names = _tasks(cells, device)
    at: dict[str, int] = {}
    with closing(execute(tasks, workers, threads)) as events:
        for event in events:
            cell = by_key.get(event.key)
            what = names[event.key]
            if isinstance(event, Started):
                at[event.key] = event.worker
                listen(Doing(event.worker, what, cell))
            elif isinstance(event, Advanced):
                listen(Doing(at[event.key], what, cell, event.progress))
            elif cell is None:
                listen(Made(what, event.reason, at[event.key]))
            else:
                yield _played(event, cell, device), at[event.key]


def _tasks(cells: Sequence[Cell], device: str) -> tuple[list[Task], dict[str, str]]:
    """One task a cell, after the tasks that make what cells share; and what each is, for a person."""
    shared: dict[str, Task] = {}
    names: dict[str, str] = {}
    work = []
    for cell in cells:
        needed = play.artefacts(cell)
        for name, what in needed.items():
            names[name] = what
            shared.setdefault(name, Task(name, "invbench.play:make_artefact", (name, cell, device)))
        names[cell.id] = cell_name(cell)
        needs = frozenset(needed)
        work.append(Task(cell.id, "invbench.play:play", (cell, device), cell.timeout, needs))
    return [*shared.values(), *work], names


def cell_name(cell: Cell) -> str:
    """A cell in a line: `dlg lenet b1 none`."""
    names = cell.names
    batch = f"b{cell.batch_size}" if cell.batch_size is not None else None
    parts = [names["attack"], names["model"], batch, names["defense"]]
    return " ".join(part for part in parts if part is not None)


def _played(event: Ended, cell: Cell, device: str) -> play.Played:
    if event.problem is None:
        played: play.Played = event.result
        return played
    record = play.unplayed(cell, event.problem, event.reason)
    return play.Played(play.with_seconds(record, event.seconds, device))
