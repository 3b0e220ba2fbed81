"""Which cells are left, who computes them, and the results folder kept whole meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from invbench.cell import Cell
from invbench.core.artefacts import Artefact
from invbench.core.errors import Interrupted
from invbench.core.progress import Progress
from invbench.federation import Federation
from invbench.matrix import Matrix
from invbench.play.asking import needed, requested_controls, with_unplayable
from invbench.play.outcomes import Played, failed, with_seconds
from invbench.runs import devices
from invbench.runs.executors import Advanced, Crew, Ended, Notice, Repeated, Started, Task, cores
from invbench.runs.executors.local import execute
from invbench.runs.stock import taken_stock
from invbench.runs.trainings import in_words, told, trained, training_tasks, trainings_left, without_untrainable
from invbench.store import Damaged, Record, Results
from invbench.store import fresh as fresh_marks
from invbench.store.utility import UtilityRecord, write_utility


@dataclass(frozen=True)
class Planned:
    """What a run is going to do: cells to compute, cells kept from before; and the same of federated trainings."""

    to_compute: int
    kept: int
    to_train: int = 0
    trained: int = 0


@dataclass(frozen=True)
class Unplayable:
    """These cells cannot be played; they have their records."""

    records: tuple[Record, ...]


@dataclass(frozen=True)
class Doing:
    """A worker is at this: a cell, or something made for several, in words."""

    worker: int
    what: Cell | str
    progress: Progress | None = None


@dataclass(frozen=True)
class Done:
    """A cell has its record. `worker`: who played it, None where nobody did, because what it needs was not made."""

    record: Record
    worker: int | None


@dataclass(frozen=True)
class Made:
    """Something that several cells share is made (`problem`: or why it is not)."""

    what: str
    problem: str
    worker: int | None


@dataclass(frozen=True)
class Again:
    """The worker at this died, `reason` says how; it is begun anew."""

    worker: int
    what: Cell | str
    reason: str


@dataclass(frozen=True)
class Left:
    """This left something behind in its worker that reaches whatever comes after it; the worker was replaced."""

    what: Cell | str
    remains: str


News = Planned | Unplayable | Doing | Done | Made | Again | Left | Notice


def run(
    matrix: Matrix,
    cells: Sequence[Cell],
    results: Results,
    environment: dict[str, Any],
    *,
    crew: Crew,
    fresh: bool = False,
    trainings: Sequence[Federation] = (),
    listen: Callable[[News], None] = lambda news: None,
    conclude: Callable[[Results], None] = lambda results: None,
) -> list[Record]:
    """Compute those of `cells` that are not done, and return the records of all of them, in order.

    `trainings`: those of the matrix's that are made in the same way, after the cells.

    Only this process writes, and only while it holds the folder's lock. Interrupted anywhere, the folder
    holds every cell finished so far. `conclude` comes last, also after an interrupt, still under the lock. What is
    returned lacks the cells whose records somebody has taken away meanwhile.

    A run that is begun `fresh` is so until it has ended: begun again without it, it computes what is still of before.
    """
    with results.lock():
        of_cells = {cell: federation.id for cell, federation in matrix.federations.items()}
        held, ids = results.planned_before(), [cell.id for cell in matrix.cells]
        results.create(matrix.text, ids, environment, of_cells, matrix.published, matrix.defaults)
        if held and held.isdisjoint(ids):
            many = f"{len(held)} cell{'' if len(held) == 1 else 's'}"
            listen(
                Notice(f"{results.path} held another matrix ({many}), whose report is replaced; its cells stay there")
            )
        asked = [cell.id for cell in cells]
        if fresh:
            fresh_marks.begin(results, asked)
        try:
            done = taken_stock(matrix.cells, results, lambda words: listen(Notice(words)))
            done -= fresh_marks.of_before(results)
            left = [cell for cell in cells if cell.id not in done]
            to_train = trainings_left(trainings, results, fresh, lambda words: listen(Notice(words)))
            listen(Planned(len(left), len(cells) - len(left), len(to_train), len(trainings) - len(to_train)))
            playable = _without_unplayable(left, results, listen)
            to_train = without_untrainable(to_train, results, lambda words: listen(Notice(words)))
            for played, worker in _compute(playable, to_train, crew, listen):
                if isinstance(played, UtilityRecord):
                    write_utility(results, played)
                    continue
                results.write(played.record, played.arrays, played.files)
                listen(Done(played.record, worker))
            fresh_marks.end(results, asked)
        except KeyboardInterrupt:  # Interrupted, or what a library in C makes of it
            again = "the same command without --fresh" if fresh else "the same command"
            raise Interrupted(f"what was finished is kept, {again} goes on from there") from None
        finally:
            conclude(results)
        found = [results.record(cell.id) for cell in cells]
        return [record for record in found if record is not None]


def is_done(results: Results, cell: Cell) -> bool:
    """Whether the folder holds all that is asked of the cell; of a damaged record it is computed again."""
    try:
        record = results.record(cell.id)
    except Damaged:
        return False
    return record is not None and record.done(requested_controls(cell))


def local_crew(device: str, workers: int, threads: int) -> Crew:
    """Worker processes on this machine for a device as `devices.resolve` gives it."""
    own, environments = devices.shared_out(device, devices.gpus())
    return Crew(own, workers, partial(execute, workers=workers, threads=threads, environments=environments))


def default_workers(device: str, threads: int) -> int:
    """One worker a GPU; on a CPU as many as there are cores for."""
    if device == "cuda":
        return len(devices.gpus())
    if device.startswith("cuda"):
        return 1
    return max(1, cores() // threads)


def _without_unplayable(cells: Sequence[Cell], results: Results, listen: Callable[[News], None]) -> list[Cell]:
    """The cells that can be played; the others have their record at once."""
    playable, unplayable = [], []
    for cell, played in with_unplayable(cells):
        if played is None:
            playable.append(cell)
        else:
            unplayable.append(played)
    results.write_many([(played.record, played.files) for played in unplayable])
    listen(Unplayable(tuple(played.record for played in unplayable)))
    return playable


def _compute(
    cells: Sequence[Cell], trainings: Sequence[Federation], crew: Crew, listen: Callable[[News], None]
) -> Iterator[tuple[Played | UtilityRecord, int | None]]:
    by_key = {cell.id: cell for cell in cells}
    needs, lost = _needs(cells, crew.device)
    yield from ((played, None) for played in lost)
    tasks, shared = _tasks([cell for cell in cells if cell.id in needs], needs, crew.device)
    to_train = {training.id: training for training in trainings}
    tasks += training_tasks(trainings, crew.device)
    shared |= {key: what for training in trainings for key, what in told(training, crew.device).items()}
    at: dict[str, int] = {}
    with closing(crew.execute(tasks)) as events:
        for event in events:
            if isinstance(event, Notice):
                listen(event)
                continue
            what = by_key.get(event.key) or shared[event.key]
            if isinstance(event, Started):
                at[event.key] = event.worker
                listen(Doing(event.worker, what))
            elif isinstance(event, Advanced):
                listen(Doing(at[event.key], what, event.progress))
            elif isinstance(event, Repeated):
                listen(Again(at[event.key], what, event.reason))
            else:
                if event.key in to_train:
                    record = trained(event, to_train[event.key], crew.device)
                    yield record, at.get(event.key)
                    what = in_words(record)
                if isinstance(what, str):
                    listen(Made(what, event.reason, at.get(event.key)))
                else:
                    yield _played(event, what, crew.device), at.get(event.key)
                if event.remains:
                    listen(Left(what, event.remains))


def _needs(cells: Sequence[Cell], device: str) -> tuple[dict[str, list[Artefact]], list[Played]]:
    """What each cell needs to be made, by its id; and the failures of those of which that cannot be told."""
    needs, lost = dict[str, list[Artefact]](), list[Played]()
    for cell in cells:
        found = needed(cell, device)
        if isinstance(found, Played):
            lost.append(found)
        else:
            needs[cell.id] = found
    return needs, lost


def _tasks(
    cells: Sequence[Cell], needs: Mapping[str, Sequence[Artefact]], device: str
) -> tuple[list[Task], dict[str, str]]:
    """One task a cell, after the tasks that make what cells share; and what those make, for a person.

    Making something may take no longer than the cell that asks for it first.
    """
    making: dict[str, Task] = {}
    shared: dict[str, str] = {}
    work = []
    for cell in cells:
        missing = [artefact for artefact in needs[cell.id] if not artefact.made]
        shared |= {artefact.name: artefact.what for artefact in missing}
        for artefact in missing:
            if artefact.name not in making:
                making[artefact.name] = _making(artefact, cell, device)
        call, names = "invbench.play.playing:play", frozenset(artefact.name for artefact in needs[cell.id])
        work.append(Task(cell.id, call, (cell, device), cell.timeout, names, files=_files(cell)))
    return [*making.values(), *work], shared


def _making(artefact: Artefact, cell: Cell, device: str) -> Task:
    call, needs = "invbench.play.asking:make_artefact", frozenset(need.name for need in artefact.needs)
    arguments = (artefact.name, cell, device)
    return Task(artefact.name, call, arguments, cell.timeout, needs, artefact=True, files=_files(cell))


def _files(cell: Cell) -> frozenset[Path]:
    """The user's files that the cell's data set is read from."""
    return frozenset(value for _, value in cell.dataset.settings if isinstance(value, Path))


def _played(event: Ended, cell: Cell, device: str) -> Played:
    if event.problem is None:
        played: Played = event.result
        return played
    played = failed(cell, event.reason, event.trace, event.problem)
    return replace(played, record=with_seconds(played.record, event.seconds, device))
