"""A worker on a node of a cluster: the local executor's process, with a Ray actor in front of it.

The actor imports no torch and never computes, so that it can end a cell out of time and outlives a crash.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from invbench import __version__, registry
from invbench.core import artefacts
from invbench.runs.executors import Advanced, Ended, Event, Task
from invbench.runs.executors._process import WorkerProcess, wait

_EVERY = 1.0  # seconds between two messages to the driver


def facts() -> dict[str, str]:
    """What has to be the same on every node, or equal cells would not give equal numbers."""
    plugins = [f"{kind} {name}" for kind in registry.KINDS for name in sorted(registry.plugin_names(kind))]
    torch = version("torch").partition("+")[0]  # a driver without a GPU has another build than its workers
    return {"invbench": __version__, "torch": torch, "plugins": ", ".join(plugins) or "none"}


@dataclass(frozen=True)
class Artefact:
    """The result of a task that made an artefact: its file, for the driver and the other nodes."""

    content: bytes


class Host:
    """One worker of `threads` threads. Ray calls one method at a time."""

    def __init__(self, threads: int) -> None:
        self.worker = WorkerProcess(0, threads, {})
        self.task = Task("", "", ())  # the latest one

    def complaint(self, theirs: Mapping[str, str], files: Iterable[Path]) -> str:
        """Why this node is of no use for the driver's tasks; empty where it is."""
        import ray

        ours, node = facts(), f"node {ray.util.get_node_ip_address()}"
        for name, value in theirs.items():
            if ours[name] != value:
                return f"{node}: its {name} is {ours[name]}, here it is {value}"
        for file in sorted(files):
            if not file.exists():
                return f"{node}: {file} is not there; a data set's files have to be at the same path on every node"
        return ""

    def begin(self, task: Task, shared: Mapping[str, Any]) -> list[Event]:
        """Begin the task and tell the first news. `shared`: the artefacts that it needs, in Ray's object store."""
        import ray

        for name, reference in shared.items():
            if not artefacts.place(name).exists():
                artefacts.receive(name, ray.get(reference))
        self.task = task
        self.worker.begin(task)
        return self.news()

    def news(self) -> list[Event]:
        """Wait until there is something to tell; at most one report of progress in a second, the latest."""
        events: list[Event] = []
        until = time.monotonic() + _EVERY
        while self.worker.task and (not events or time.monotonic() < until):
            event = self._next(until if events else None)
            if isinstance(event, Advanced) and events and isinstance(events[-1], Advanced):
                events[-1] = event
            elif event is not None:
                events.append(self._with_artefact(event))
        return events

    def _next(self, until: float | None) -> Event | None:
        """The worker's next event, None where there was none in time."""
        wait([self.worker], None if until is None else max(0.0, until - time.monotonic()))
        return self.worker.hear()

    def _with_artefact(self, event: Event) -> Event:
        """The end of a task that made an artefact gets the artefact's file as its result: other nodes need it."""
        if isinstance(event, Ended) and event.problem is None and self.task.artefact:
            return replace(event, result=Artefact(artefacts.place(self.task.key).read_bytes()))
        return event
