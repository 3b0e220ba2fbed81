"""Inside a worker process: imports torch once, then does one task after the other until its pipe closes."""

from __future__ import annotations

import importlib
import os
import threading
import time
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from typing import Any

from invbench.core import progress
from invbench.core.compiler import load_compiler_late
from invbench.core.errors import in_words, trace_of
from invbench.core.execution import multiply_in_float32
from invbench.core.streams import give_words_only
from invbench.core.tidy import tidying
from invbench.runs.executors import _channel
from invbench.runs.executors._keeping import keep

_EVERY = 0.1  # seconds between two reports of progress


def work(pipe: Connection, threads: int) -> None:
    """Answer each `(task, function, arguments)` by messages that begin with the task's name:

    `(task, "began")`, then `(task, "progress", report)` as it goes on, in the end `(task, "result", value, remains)` or
    `(task, "error", reason, traceback, remains)`. `remains`: what the task left behind in this process that cannot be
    put back, in words; empty where there is nothing.
    """
    _live_alone(pipe)
    give_words_only()
    import torch

    from invbench.runs.executors._remains import Remains

    torch.set_num_threads(threads)
    multiply_in_float32()
    load_compiler_late()
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
        remains.put_builtins_back()  # first of all: nothing works without them
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
    """In a session of its own, deaf to the keyboard, and kept by a process that ends it when the parent is gone.

    Copies of the process (`os.fork`) do not hold its pipe: its end is seen at once.
    """
    keep()
    if os.name == "posix":
        os.register_at_fork(after_in_child=pipe.close)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A parent that is killed cannot tell its workers: they watch it."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
