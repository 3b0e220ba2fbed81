"""One worker process as its owner sees it: given a task, listened to, ended, and begun anew when it dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from invbench.runs.executors import Advanced, Ended, Event, Repeated, Task
from invbench.runs.executors._worker import work

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


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

    def read(self) -> Event | None:
        """The next message as an event, if it is one."""
        assert self.pipe is not None
        assert self.task is not None
        try:
            kind, value = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            return self._lost(self.task)
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
        ended = self._end(problem="timeout", reason=f"took longer than {self.task.timeout:g} s")
        self.kill()
        return ended

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
        if self.pipe is not None:
            self.pipe.close()
        self.process, self.pipe = None, None

    def _send(self, task: Task) -> None:
        if self.process is not None and not self.process.is_alive():
            self.kill()
        if self.process is None or self.pipe is None:
            self.process, self.pipe = _start(self.threads, self.environment)
        self.began = None
        try:
            self.pipe.send((task.function, task.arguments))
        except BrokenPipeError:
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
    process.join(timeout=5)
    code = process.exitcode
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    hint = " (the system kills a process that takes too much memory)" if -code == signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"
