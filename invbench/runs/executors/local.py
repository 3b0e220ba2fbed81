"""Processes on this machine: each one worker of `threads` threads, one task at a time."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from invbench.runs.executors import Ended, Event, Queue, Started, Task
from invbench.runs.executors._process import WorkerProcess, wait


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
            wait(pool)
            for worker in pool:
                event = worker.hear()
                if event is not None:
                    yield event
                if isinstance(event, Ended):
                    yield from queue.end(event)
    finally:
        for worker in pool:
            worker.kill()
