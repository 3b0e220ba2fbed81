"""Processes on this machine: each one worker of `threads` threads, one task at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from invbench.executors import Advanced, Ended, Event, Started, Task
from invbench.executors._worker import work

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def execute(tasks: Sequence[Task], workers: int, threads: int) -> Generator[Event, None, None]:
    """Run every task, in their order as far as their needs allow. Closing the iterator kills the workers.

    A task that runs past its timeout is ended with its worker, and a task whose worker dies has failed;
    both cost nothing but that task.
    """
    waiting, ended = list(tasks), set[str]()
    pool = [_Worker(number, threads) for number in range(min(workers, len(tasks)))]
    try:
        while waiting or any(worker.task for worker in pool):
            for worker in pool:
                task = None if worker.task else _next_ready(waiting, ended)
                if task:
                    waiting.remove(task)
                    worker.begin(task)
                    yield Started(task.key, worker.number)
            for event in _events(pool):
                if isinstance(event, Ended):
                    ended.add(event.key)
                yield event
    finally:
        for worker in pool:
            worker.kill()


class _Worker:
    """One process and what it is doing; started when it gets its first task, and anew after it died."""

    def __init__(self, number: int, threads: int) -> None:
        self.number, self.threads = number, threads
        self.process: BaseProcess | None = None
        self.pipe: Connection | None = None
        self.task: Task | None = None
        self.began: float | None = None  # None until the worker has loaded what the task needs

    def begin(self, task: Task) -> None:
        if self.process is not None and not self.process.is_alive():
            self.kill()
        if self.process is None or self.pipe is None:
            self.process, self.pipe = _start(self.threads)
        self.task, self.began = task, None
        try:
            self.pipe.send((task.function, task.arguments))
        except BrokenPipeError:
            return  # it died idle; its closed pipe says so at the next look

    def left(self) -> float | None:
        """Seconds until its task's timeout, None where there is none yet."""
        if self.task is None or self.task.timeout is None or self.began is None:
            return None
        return max(0.0, self.began + self.task.timeout - time.monotonic())

    def read(self) -> Event | None:
        """The next message as an event, if it is one; the end of the process is the end of its task."""
        assert self.pipe is not None
        assert self.task is not None
        try:
            kind, value = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            reason = f"the worker {_how_it_died(self.process)}"
            return self._end(problem="failed", reason=reason, kill=True)
        if kind == "began":
            self.began = time.monotonic()
            return None
        if kind == "progress":
            return Advanced(self.task.key, value)
        if kind == "error":
            return self._end(problem="failed", reason=value)
        return self._end(result=value)

    def expire(self) -> Ended:
        assert self.task is not None
        return self._end(problem="timeout", reason=f"took longer than {self.task.timeout:g} s", kill=True)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
        if self.pipe is not None:
            self.pipe.close()
        self.process, self.pipe = None, None

    def _end(self, *, kill: bool = False, **facts: object) -> Ended:
        assert self.task is not None
        seconds = 0.0 if self.began is None else time.monotonic() - self.began
        ended = Ended(self.task.key, seconds=seconds, **facts)  # type: ignore[arg-type]
        self.task = None
        if kill:
            self.kill()
        return ended


def _next_ready(waiting: Sequence[Task], ended: set[str]) -> Task | None:
    return next((task for task in waiting if task.needs <= ended), None)


def _events(pool: Sequence[_Worker]) -> Iterator[Event]:
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


def _start(threads: int) -> tuple[BaseProcess, Connection]:
    """A fresh process: nothing of the parent is inherited but its end of one pipe."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, threads), daemon=True)
    with _threads_in_environment(threads), _interrupts_held():
        process.start()
    theirs.close()
    return process, ours


@contextmanager
def _threads_in_environment(threads: int) -> Iterator[None]:
    """Numerical libraries read their thread count when they are loaded."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """A process inherits what its parent holds back, so an interrupt at the keyboard cannot break its start."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # it would let interrupts through again when the first process starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _how_it_died(process: BaseProcess | None) -> str:
    if process is None:
        return "died"
    process.join(timeout=5)
    code = process.exitcode
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    hint = " (the system kills a process that takes too much memory)" if -code == signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"
