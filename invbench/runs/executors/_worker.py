"""Inside a worker process: imports torch once, then does one task after the other until its pipe closes."""

from __future__ import annotations

import importlib
import os
import signal
import threading
import time
from contextlib import suppress
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from typing import Any

from invbench.core import progress
from invbench.core.errors import in_words, trace_of
from invbench.core.execution import multiply_in_float32
from invbench.core.tidy import tidying
from invbench.runs.executors import _channel

_EVERY = 0.1  # seconds between two reports of progress
_LOOK = 1.0  # seconds between two looks of the guard at whether its worker is there


def work(pipe: Connection, threads: int) -> None:
    """Answer each `(task, function, arguments)` by messages that begin with the task's name:

    `(task, "began")`, then `(task, "progress", report)` as it goes on, in the end `(task, "result", value, remains)` or
    `(task, "error", reason, traceback, remains)`. `remains`: what the task left behind in this process that cannot be
    put back, in words; empty where there is nothing.
    """
    _live_alone(pipe)
    import torch

    from invbench.runs.executors._remains import Remains

    torch.set_num_threads(threads)
    multiply_in_float32()
    remains = Remains()
    while True:
        try:
            task, function, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        own = os.getpid()
        with progress.listening(_Reporter(pipe, task)), tidying(remains.put_back):
            answer = _answer(pipe, task, function, arguments, remains)
        if os.getpid() != own:
            os._exit(0)  # a copy of this process that the task made: it has nothing to say
        left = remains.clear()
        try:
            _channel.send(pipe, (task, *answer, left))
        except OSError:
            os._exit(1)  # the task has closed the pipe, or its owner is gone
        except Exception as error:  # of pickle, which takes whatever a part has made
            _channel.send(pipe, (task, "error", *_told(error, "what it gave cannot be sent: "), left))


def _answer(
    pipe: Connection, task: str, function: str, arguments: tuple[Any, ...], remains: Any
) -> tuple[str, Any] | tuple[str, str, str]:
    module, name = function.split(":")
    try:
        call = getattr(importlib.import_module(module), name)
        remains.look(task)
        _channel.send(pipe, (task, "began"))  # loading libraries is not the task's time
        return "result", call(*arguments)
    except BaseException as error:  # a task's own error, SystemExit too, ends the task, not the worker
        return "error", *_told(error)


def _told(error: BaseException, before: str = "") -> tuple[str, str]:
    """The reason on one line, and the traceback."""
    return f"{before}{type(error).__name__}: {in_words(error)}", trace_of(error)


class _Reporter:
    """Sends progress to the parent, at most ten times a second; a copy of the process sends none."""

    def __init__(self, pipe: Connection, task: str) -> None:
        self.pipe, self.task, self.last, self.process = pipe, task, 0.0, os.getpid()

    def __call__(self, report: progress.Progress) -> None:
        now = time.monotonic()
        if now - self.last >= _EVERY and os.getpid() == self.process:
            self.last = now
            _channel.send(self.pipe, (self.task, "progress", report))


def _live_alone(pipe: Connection) -> None:
    """Deaf to the keyboard, in a session of its own (whose processes end with it), and dead when the parent is.

    Copies of the process (`os.fork`) do not hold its pipe: its end is seen at once.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's business
    if os.name == "posix":
        os.setsid()
        _leave_a_guard()
        os.register_at_fork(after_in_child=pipe.close)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _leave_a_guard() -> None:
    """A copy of this still small process that ends the whole session when the parent dies.

    A thread cannot: a worker may be stopped, or compute in C without letting any other thread go on, and what it has
    started is to end, too.
    """
    worker, parent = os.getpid(), parent_process()
    if parent is None or os.fork():
        return
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nowhere, number)  # what reads the run's output is not to wait for the guard
        for number in {int(held) for held in os.listdir("/dev/fd")} - {0, 1, 2, parent.sentinel}:
            with suppress(OSError):  # that of the list itself
                os.close(number)
        while os.getppid() == worker and not connection.wait([parent.sentinel], _LOOK):
            pass
        os.killpg(worker, signal.SIGKILL)
    finally:
        os._exit(0)


def _die_with_parent() -> None:
    """A parent that is killed cannot tell its workers: they watch it."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
