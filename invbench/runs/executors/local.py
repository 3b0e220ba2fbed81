"""Processes on this machine: each one worker of `threads` threads, one task at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from multiprocessing import connection

from invbench.runs.executors import Ended, Event, Queue, Started, Task
from invbench.runs.executors._process import WorkerProcess


def execute(
    tasks: Sequence[Task], workers: int, threads: int, environments: Sequence[Mapping[str, str]] = ({},)
) -> Generator[Event, None, None]:
    """Run every task, in their order as far as their needs allow. Closing the iterator kills the workers.

    A task whose worker dies is given to a new one, once; one that runs past its timeout is ended with its worker.
    Both cost nothing but that task. `environments`: variables of the workers, who take them in turn.
    """
    queue = Queue(tasks)
    pool = [
        WorkerProcess(number, threads, environments[number % len(environments)])
        for number in range(min(workers, len(tasks)))
    ]
    try:
        while queue.pending:
            for worker in pool:
                task = None if worker.task else queue.next()
                if task:
                    worker.begin(task)
                    yield Started(task.key, worker.number)
            for event in _events(pool):
                yield event
                if isinstance(event, Ended):
                    yield from queue.end(event)
    finally:
        for worker in pool:
            worker.kill()


def _events(pool: Sequence[WorkerProcess]) -> Iterator[Event]:
    """Wait until a busy worker speaks or runs out of time, and say what happened."""
    busy = {worker.pipe: worker for worker in pool if worker.task and worker.pipe}
    limits = [left for worker in busy.values() if (left := worker.left()) is not None]
    for pipe in connection.wait(list(busy), timeout=min(limits, default=None)):
        event = busy[pipe].read()  # type: ignore[index]
        if event is not None:
            yield event
    for worker in busy.values():
        if worker.left() == 0.0:
            yield worker.expire()
