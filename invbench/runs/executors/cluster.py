"""The nodes of a Ray cluster, or a Ray of this machine's own: the same worker processes, somewhere else.

The driver (this process) hands out tasks, keeps the artefacts and hears every result. Each worker is an actor that
holds the CPUs, and the share of a GPU, of one cell; its node dying costs what it was doing another beginning.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from invbench.core import artefacts
from invbench.core.digits import whole
from invbench.core.errors import Refusal
from invbench.runs.executors import Crew, Ended, Event, Notice, Queue, Repeated, Started, Task, cores
from invbench.runs.executors._host import Artefact, Host, facts

LIVES = 4
"""Nodes that a task may lose before it has failed: losing one is seldom the cell's own doing, losing four is."""

_PATIENCE = 60.0  # seconds of silence after which the user is told that there is no worker
_STARTS = 3  # workers of a slot that may die before they have said a word
_LAST_PORT = 65535


class NoCluster(Refusal):
    """There is no Ray, no such cluster, or none that fits."""


@dataclass(frozen=True)
class Share:
    """What one worker holds of its node."""

    cpus: int
    gpus: float  # 0 on a CPU

    def fit(self, node: dict[str, float]) -> int:
        """How many workers fit on a node with these resources."""
        fitting = int(node.get("CPU", 0)) // self.cpus
        return min(fitting, int(node.get("GPU", 0)) * int(1 / self.gpus)) if self.gpus else fitting

    def __str__(self) -> str:
        return f"{self.cpus} CPU{'s' if self.cpus > 1 else ''}" + (f" and {self.gpus:g} GPU" if self.gpus else "")


@contextmanager
def cluster_crew(address: str | None, device: str, workers: int | None, threads: int, gpus: float) -> Iterator[Crew]:
    """Workers on the cluster at `address`, else on a Ray started here and stopped at the end.

    `device`: `auto` is a GPU where the cluster has one. `gpus`: a cell's share of a GPU. `workers`: None for as many
    as fit now; more than fit wait for nodes to come. NoCluster where there is no Ray, cluster or room.
    """
    if find_spec("ray") is None:
        raise NoCluster("--executor ray needs Ray: pip install 'invbench[ray]'")
    if device not in ("auto", "cpu", "cuda"):
        raise NoCluster(f"--device {device}: with --executor ray it is auto, cpu or cuda; Ray chooses the GPU")
    cpus = max(cores(), (workers or 1) * threads)  # of a Ray of our own
    with _connected(address, cpus, 0 if device == "cpu" else None) as nodes:
        if device == "auto":
            device = "cuda" if any(node.get("GPU") for node in nodes) else "cpu"
        share = Share(threads, gpus if device == "cuda" else 0.0)
        count = workers or sum(share.fit(node) for node in nodes)
        if not count:
            raise NoCluster(f"no node of the cluster has {share}, which one cell needs; --workers N would wait for one")
        yield Crew("cuda:0" if share.gpus else "cpu", count, partial(execute, workers=count, share=share))


def execute(tasks: Sequence[Task], workers: int, share: Share) -> Generator[Event, None, None]:
    """As the local executor, over actors of the cluster that is connected; NoCluster once no worker is of any use."""
    import ray

    queue, losses, stored = Queue(tasks), Counter[str](), dict[str, Any]()
    files = frozenset[Path]().union(*(task.files for task in tasks))
    slots = [_Slot(number, share, files) for number in range(min(workers, len(tasks)))]
    try:
        while queue.pending:
            if not slots:
                raise NoCluster("no worker of the cluster can be used")
            for slot in slots:
                task = queue.next() if slot.idle else None
                if task:
                    slot.begin(task, _references(task.needs, stored))
                    yield Started(task.key, slot.number)
            calls = {slot.call: slot for slot in slots if slot.call is not None}
            answered, _ = ray.wait(list(calls), timeout=_PATIENCE)
            if not answered and not any(slot.ready for slot in slots):
                yield Notice(f"waiting: no node of the cluster has {share} free")
            for call in answered:
                for event in _hear(calls[call], queue, losses):
                    yield _kept(event, stored)
                    if isinstance(event, Ended):
                        yield from queue.end(event)
            slots = [slot for slot in slots if slot.actor is not None]
    finally:
        for slot in slots:
            slot.close()


class _Slot:
    """Room for one worker: the actor that fills it, the call it has not answered yet, the task it is at."""

    def __init__(self, number: int, share: Share, files: frozenset[Path]) -> None:
        self.number, self.share, self.files = number, share, files
        self.task: Task | None = None
        self.starts = 0  # of actors, since one of them was ready
        self.fill()

    @property
    def idle(self) -> bool:
        return self.ready and self.task is None

    def fill(self) -> None:
        """Ask for an actor; it is ready once it has answered that its node is of use."""
        import ray

        host = ray.remote(Host).options(num_cpus=self.share.cpus, num_gpus=self.share.gpus, max_restarts=0)
        self.actor: Any = host.remote(self.share.cpus)
        self.ready = False
        self.starts += 1
        self.call = self.actor.complaint.remote(facts(), self.files)

    def begin(self, task: Task, references: dict[str, Any]) -> None:
        self.task = task
        self.call = self.actor.begin.remote(task, references)

    def close(self) -> None:
        import ray

        if self.actor is not None:
            ray.kill(self.actor)
        self.actor = self.call = self.task = None


def _hear(slot: _Slot, queue: Queue, losses: Counter[str]) -> Iterator[Event]:
    """What the slot's actor has answered, and what becomes of the slot."""
    import ray
    from ray.exceptions import RayActorError, RayError

    try:
        answer = ray.get(slot.call)
    except RayError as error:
        why, died = _in_one_line(error), isinstance(error, RayActorError)
        if slot.task is not None:
            yield _lost(slot.task, why, queue, losses if died else None)
        restart = slot.ready or (died and slot.starts < _STARTS)
        slot.close()
        if restart:
            slot.fill()
        else:
            yield Notice(f"not used: a worker that did not start: {why}")
        return
    if not slot.ready:
        slot.ready, slot.call, slot.starts = True, None, 0
        if answer:
            slot.close()
            yield Notice(f"not used: {answer}")
        return
    for event in answer:
        if isinstance(event, Ended):
            slot.task = None
        yield event
    slot.call = slot.actor.news.remote() if slot.task else None


def _lost(task: Task, why: str, queue: Queue, losses: Counter[str] | None) -> Event:
    """What becomes of the task of a slot that broke: it begins anew where its node died, not too often."""
    if losses is not None:
        losses[task.key] += 1
        if losses[task.key] < LIVES:
            queue.put_back(task)
            return Repeated(task.key, f"its worker was lost: {why}")
        why = f"its worker was lost {LIVES} times, at last: {why}"
    return Ended(task.key, problem="failed", reason=why)


def _references(needs: Iterable[str], stored: dict[str, Any]) -> dict[str, Any]:
    """Artefacts in the object store: once they are there, each node fetches one at most once."""
    import ray

    for name in needs:
        if name not in stored and artefacts.place(name).exists():
            stored[name] = ray.put(artefacts.place(name).read_bytes())
    return {name: stored[name] for name in needs if name in stored}


def _kept(event: Event, stored: dict[str, Any]) -> Event:
    """The event, once an artefact that it brings is in this machine's cache and in the object store."""
    if not (isinstance(event, Ended) and isinstance(event.result, Artefact)):
        return event
    import ray

    artefacts.receive(event.key, event.result.content)
    stored[event.key] = ray.put(event.result.content)
    return replace(event, result=None)


@contextmanager
def _connected(address: str | None, cpus: int | None, gpus: int | None) -> Iterator[list[dict[str, float]]]:
    """Be a driver of the cluster inside the block; the resources of each node. `cpus`, `gpus`: of a Ray of our own."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is None:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # then it speaks over the loopback alone
    else:
        _knock(address)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "include_dashboard": False}
    own = {"address": "local", "num_cpus": cpus, "num_gpus": gpus}
    there = {"address": address}
    terminated = signal.getsignal(signal.SIGTERM)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # Ray prints its own account of every loss
        try:
            ray.init(**(own if address is None else there), **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise NoCluster(f"--ray-address {address}: {_in_one_line(error)}") from None
        signal.signal(signal.SIGTERM, terminated)  # Ray has put its own there
        try:
            yield [node["Resources"] for node in ray.nodes() if node["Alive"]]
        finally:
            ray.shutdown()


def _knock(address: str) -> None:
    """NoCluster where nobody answers at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    number = whole(port)
    if not host or number is None or number > _LAST_PORT:
        raise NoCluster(f"--ray-address {address!r}: must be HOST:PORT, or auto for the Ray of this machine")
    try:
        socket.create_connection((host, number), timeout=10).close()
    except OSError as error:
        raise NoCluster(f"--ray-address {address}: nobody answers there: {error.strerror or error}") from None


def _in_one_line(error: Exception) -> str:
    """The last line of what Ray says, which holds the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
