"""One worker process as its owner sees it: given a task, listened to, ended, and begun anew when it dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from invbench.runs.executors import Advanced, Ended, Event, Repeated, Task
from invbench.runs.executors._channel import Inbox
from invbench.runs.executors._keeping import end
from invbench.runs.executors._worker import work

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


_LOOK = 1.0
"""Seconds after which a worker is looked at that says nothing: one that died may have left its pipe to a child."""


class WorkerProcess:
    """A process of `threads` threads and what it is doing; started with its first task, and anew after it died.

    A task whose process dies is given to a new one, once. `environment`: variables of the process beside ours.
    """

    def __init__(self, number: int, threads: int, environment: Mapping[str, str]) -> None:
        self.number, self.threads, self.environment = number, threads, environment
        self.process: BaseProcess | None = None
        self.pipe: Connection | None = None
        self.task: Task | None = None
        self.began: float | None = None  # None until the worker has loaded what the task needs
        self.died = ""  # how the first worker died that had this task

    def begin(self, task: Task) -> None:
        self.task, self.died = task, ""
        self._send(task)

    def left(self) -> float | None:
        """Seconds until its task's timeout, None where there is none yet."""
        if self.task is None or self.task.timeout is None or self.began is None:
            return None
        return max(0.0, self.began + self.task.timeout - time.monotonic())

    def hear(self) -> Event | None:
        """What has happened to its task, None where nothing has: the worker has spoken, has died or is out of time."""
        if self.task is None or self.process is None or self.pipe is None:
            return None
        alive = self.process.is_alive()  # asked before its pipe is: what it said last counts
        message = None
        try:
            while message is None and self.pipe.poll():
                message = self.inbox.receive()
            event = None if message is None else self._event(self.task, *message)
        except Exception:  # the pipe has ended, or holds what no worker of ours sends
            return self._lost(self.task)
        if message is None and not alive:
            return self._lost(self.task)
        return self.expire() if event is None and self.left() == 0.0 else event

    def expire(self) -> Ended:
        assert self.task is not None
        ended = self._end(problem="timeout", reason=f"took longer than {self.task.timeout:g} s")
        self.kill()
        return ended

    def kill(self) -> None:
        """End the process, and what it has started."""
        if self.process is not None:
            end(self.process)
        if self.pipe is not None:
            self.pipe.close()
        self.process, self.pipe = None, None

    def _event(self, task: Task, name: str, kind: str, *told: Any) -> Event | None:
        """A message as an event, if it is one; none where it is of another task: a copy of the process sent it."""
        if name != task.key:
            return None
        if kind == "began":
            self.began = time.monotonic()
            return None
        if kind == "progress":
            (progress,) = told
            return Advanced(task.key, progress)
        if kind == "error":
            reason, trace, remains = told
            ended = self._end(problem="failed", reason=reason, trace=trace, remains=remains)
        else:
            result, remains = told
            ended = self._end(result=result, remains=remains)
        if remains:
            self.kill()  # the next task gets a new one
        return ended

    def _send(self, task: Task) -> None:
        if self.process is not None and not self.process.is_alive():
            self.kill()
        if self.process is None or self.pipe is None:
            self.process, self.pipe = _start(self.threads, self.environment)
            self.inbox = Inbox(self.pipe)
        self.began = None
        try:
            self.pipe.send((task.key, task.function, task.arguments))
        except OSError:
            return  # it died idle; its closed pipe says so at the next look

    def _lost(self, task: Task) -> Event:
        """The end of the process: the task begins anew in another, or has failed where it did so before."""
        how = _how_it_died(self.process)
        if self.died:
            ended = self._end(problem="failed", reason=f"the worker {how}; the one before it {self.died}")
            self.kill()
            return ended
        self.died = how
        self.kill()
        self._send(task)
        return Repeated(task.key, f"the worker {how}")

    def _end(self, **facts: object) -> Ended:
        assert self.task is not None
        seconds = 0.0 if self.began is None else time.monotonic() - self.began
        ended = Ended(self.task.key, seconds=seconds, **facts)  # type: ignore[arg-type]
        self.task = None
        return ended


def wait(workers: Sequence[WorkerProcess], timeout: float | None = None) -> None:
    """Wait until one of them may have something to tell (`hear`); `timeout`: seconds, at most.

    Not only for their pipes: a process that a worker started may hold its pipe after it has died.
    """
    busy = [worker for worker in workers if worker.task]
    limits = [limit for limit in (timeout, *(worker.left() for worker in busy)) if limit is not None]
    pipes = [worker.pipe for worker in busy if worker.pipe]
    ends = [worker.process.sentinel for worker in busy if worker.process]
    connection.wait([*pipes, *ends], min([_LOOK, *limits]))


def _start(threads: int, environment: Mapping[str, str]) -> tuple[BaseProcess, Connection]:
    """A fresh process: nothing of the parent is inherited but its end of one pipe."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, threads), daemon=True)
    # Numerical libraries read their thread count, and CUDA its devices, when they are loaded.
    with _environment({**dict.fromkeys(_THREAD_VARIABLES, str(threads)), **environment}), _interrupts_held():
        process.start()
    theirs.close()
    return process, ours


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables for what is started inside the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
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
    process.join(timeout=1)  # its pipe may end a moment before it does
    code = process.exitcode
    if code is None:
        return "closed its pipe"
    if code >= 0:
        return f"ended with exit code {code}"
    hint = " (the system kills a process that takes too much memory)" if -code == signal.SIGKILL else ""
    named = [known.name for known in signal.Signals if known == -code]
    return f"was killed by {named[0] if named else f'signal {-code}'}{hint}"
