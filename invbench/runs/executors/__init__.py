"""Who computes tasks, and where. An executor knows nothing of what a task means.

`execute(tasks)` yields `Event`s until every task has ended. A task names a function and its arguments; its result
comes back to the caller, who alone writes anything down. `local.py`: processes of this machine. `cluster.py`: the
same processes on the nodes of a Ray cluster.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from invbench.core.progress import Progress


@dataclass(frozen=True)
class Task:
    """`function` (`module:name`) is called with `arguments` in a worker, once those of `needs` that are tasks ended.

    `timeout`: seconds from when its worker has loaded what it needs, None for no limit. `needs`: artefacts, by name;
    those that no task makes are in the caller's cache already. `artefact`: the task makes the artefact called `key`.
    `files`: what it reads, which has to be wherever it runs.
    """

    key: str
    function: str
    arguments: tuple[Any, ...]
    timeout: float | None = None
    needs: frozenset[str] = field(default_factory=frozenset)
    artefact: bool = False
    files: frozenset[Path] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Started:
    """A worker was given the task."""

    key: str
    worker: int


@dataclass(frozen=True)
class Advanced:
    """The task said how far it is."""

    key: str
    progress: Progress


@dataclass(frozen=True)
class Repeated:
    """The task's worker died, `reason` says how; the task begins anew."""

    key: str
    reason: str


@dataclass(frozen=True)
class Notice:
    """Something about the workers, in words: one is not used, none is to be had yet."""

    text: str


@dataclass(frozen=True)
class Ended:
    """The task is over. `problem` is None where it returned `result`; else `timeout` or `failed`, and why.

    `trace`: the traceback of what it raised. `remains`: what it left behind in its worker, for which the worker was
    replaced.
    """

    key: str
    result: Any = None
    problem: Literal["timeout", "failed"] | None = None
    reason: str = ""
    seconds: float = 0.0
    trace: str = ""
    remains: str = ""


Event = Started | Advanced | Repeated | Notice | Ended


@dataclass(frozen=True)
class Crew:
    """Workers to be had: how many, and what each calls its device. Closing what `execute` gives stops them."""

    device: str
    workers: int
    execute: Callable[[Sequence[Task]], Generator[Event, None, None]]


class Queue:
    """Tasks in their order, each handed out once what it needs was made.

    A task of which something was not made ends as that did: it would try the same once more.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.waiting = list(tasks)
        self.pending = {task.key for task in tasks}  # not ended yet

    def next(self) -> Task | None:
        """The first task that may begin, taken out; None where there is none now."""
        ready = next((task for task in self.waiting if not task.needs & self.pending), None)
        if ready is not None:
            self.waiting.remove(ready)
        return ready

    def put_back(self, task: Task) -> None:
        self.waiting.insert(0, task)

    def end(self, ended: Ended) -> list[Ended]:
        """Take note of a task's end; the ends of those that wait for what it has not made."""
        self.pending.discard(ended.key)
        if ended.problem is None:
            return []
        lost = [task for task in self.waiting if ended.key in task.needs]
        self.waiting = [task for task in self.waiting if task not in lost]
        why = f"what it needs was not made: {ended.reason}"
        ends = [Ended(task.key, problem=ended.problem, reason=why, trace=ended.trace) for task in lost]
        return [*ends, *(more for end in ends for more in self.end(end))]


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1
