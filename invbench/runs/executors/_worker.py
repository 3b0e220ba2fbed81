"""A worker process: imports torch once, then does one task after the other until its pipe closes."""

from __future__ import annotations

import importlib
import os
import signal
import threading
import time
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from typing import Any

from invbench.core import progress
from invbench.core.execution import multiply_in_float32

_EVERY = 0.1  # seconds between two reports of progress


def work(pipe: Connection, threads: int) -> None:
    """Answer each `(function, arguments)` with `("began", None)`, then `("result", value)` or `("error", text)`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's business
    threading.Thread(target=_die_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    multiply_in_float32()
    while True:
        try:
            function, arguments = pipe.recv()
        except EOFError:
            return
        with progress.listening(_Reporter(pipe)):
            pipe.send(_answer(pipe, function, arguments))


def _answer(pipe: Connection, function: str, arguments: tuple[Any, ...]) -> tuple[str, Any]:
    module, name = function.split(":")
    try:
        call = getattr(importlib.import_module(module), name)
        pipe.send(("began", None))  # loading libraries is not the task's time
        return "result", call(*arguments)
    except Exception as error:  # a task's own error ends the task, not the worker
        return "error", f"{type(error).__name__}: {error}"


class _Reporter:
    """Sends progress to the parent, at most ten times a second."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe, self.last = pipe, 0.0

    def __call__(self, report: progress.Progress) -> None:
        now = time.monotonic()
        if now - self.last >= _EVERY:
            self.last = now
            self.pipe.send(("progress", report))


def _die_with_parent() -> None:
    """A parent that is killed cannot tell its workers: they watch it."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
