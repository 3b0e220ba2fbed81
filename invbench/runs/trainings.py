"""Federated trainings in a run: which are left, as tasks, and what has become of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from invbench.federation import Federation
from invbench.play.federating import artefact, unmade, untrainable, what_of
from invbench.runs.executors import Ended, Task
from invbench.store import Damaged, Results
from invbench.store.utility import UtilityRecord, set_utility_aside, utility_of, write_utility


def trainings_left(
    trainings: Sequence[Federation], results: Results, fresh: bool, tell: Callable[[str], None] | None = None
) -> list[Federation]:
    """Those that have no record to keep; all where the run is `fresh`.

    A damaged record gets another name, which `tell` is told of; without it nothing is touched.
    """
    left = []
    for training in trainings:
        try:
            record = utility_of(results, training.id)
        except Damaged as error:
            record = None
            if tell is not None:
                tell(f"{error}; kept as {set_utility_aside(results, training.id).name}, and made again")
        if fresh or record is None or not record.done:
            left.append(training)
    return left


def without_untrainable(
    trainings: Sequence[Federation], results: Results, tell: Callable[[str], None]
) -> list[Federation]:
    """Those that can be made; the others have their record at once."""
    left = []
    for training in trainings:
        record = untrainable(training)
        if record is None:
            left.append(training)
            continue
        write_utility(results, record)
        tell(f"{what_of(training)}: {record.status}: {record.reason}")
    return left


def training_tasks(trainings: Sequence[Federation], device: str) -> list[Task]:
    """Two tasks a training: one makes what is measured, where nobody has, and one makes the record of it."""
    tasks = []
    for training in trainings:
        made, cell = artefact(training, device), training.cell
        files = frozenset(value for _, value in cell.dataset.settings if isinstance(value, Path))
        call, arguments, limit = "invbench.play.federating:make", (training, device), cell.timeout
        if not made.made:
            tasks.append(Task(made.name, call, arguments, limit, artefact=True, files=files))
        call = "invbench.play.federating:record_of"
        tasks.append(Task(training.id, call, arguments, limit, frozenset({made.name}), files=files))
    return tasks


def told(training: Federation, device: str) -> dict[str, str]:
    """A training's two tasks, for a person."""
    return {artefact(training, device).name: f"training for {what_of(training)}", training.id: what_of(training)}


def in_words(record: UtilityRecord) -> str:
    """What was measured, for a person; which training it was, where nothing was."""
    names = record.names
    what = f"utility of {names['model']} under {names['defense']}, {names['protocol']}, seed {names['seed']}"
    if record.accuracy is None or record.message_bytes is None:
        return what
    return (
        f"{what}: accuracy {100 * record.accuracy:.1f} %, {record.seconds['round']:.3g} s a round, "
        f"{record.message_bytes:,.0f} bytes a message"
    )


def trained(event: Ended, training: Federation, device: str) -> UtilityRecord:
    """The record that a task has ended with."""
    if event.problem is None:
        record: UtilityRecord = event.result
        return record
    return replace(unmade(training, event.problem, event.reason), device=device, seconds={"whole": event.seconds})


def of_trainings(trainings: Sequence[Federation], results: Results) -> list[str]:
    """How those that have a record ended."""
    records = [utility_of(results, training.id) for training in trainings]
    return [record.status for record in records if record is not None]
