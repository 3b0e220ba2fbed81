"""Whoever keeps a worker: the process between it and its owner, which ends all that it has started.

A worker may be killed, stopped, or busy in C, and what it has started may have left its session (`setsid`) and lost
its parents. So the process that the owner begins makes a copy of itself that works (`keep`), and stays behind. It ends
every descendant of the worker when that ends, when its owner asks for it (SIGTERM) and when its owner is gone, and then
ends as the worker did. On Linux orphans come to it (a subreaper), whatever they did, and the worker dies with it.
Elsewhere it ends the processes of the worker's own session.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress
from multiprocessing import connection, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn

_LOOK = 1.0  # seconds between two looks at whether there is anything to do
_PATIENCE = 5.0  # seconds for what is killed to be gone: the system may be slow, or not allow it
_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36  # of Linux' prctl


def keep() -> None:
    """Return in a new process in a session of its own; this one keeps it, and never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the owner's business
    if os.name != "posix":
        return
    os.setsid()
    _ask_linux(_SET_SUBREAPER, 1)
    news, tell = os.pipe()
    os.set_blocking(tell, False)
    asked = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    keeper, worker = os.getpid(), os.fork()
    if worker:
        _stay(worker, news, {tell}, asked)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(news)
    os.close(tell)
    _ask_linux(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != keeper:  # it was killed in this moment
        os._exit(1)
    _ask_linux(_SET_SUBREAPER, 1)  # so that what it has started can be named as long as it lives
    os.setsid()


def end(process: BaseProcess) -> None:
    """End a kept worker, and all that it has started; called by its owner."""
    process.terminate()
    process.join(_PATIENCE)
    if process.is_alive():  # the keeper itself was stopped
        process.kill()
        process.join()


def _stay(worker: int, news: int, used: set[int], asked: list[bool]) -> NoReturn:
    status = 1 << 8
    try:
        parent = parent_process()
        owner = -1 if parent is None else parent.sentinel
        _hold_nothing_but({news, owner, *used})
        ended = None
        while ended is None and not asked:
            ready = connection.wait([news, owner] if owner >= 0 else [news], _LOOK)
            if news in ready:
                os.read(news, 4096)
            if owner in ready:
                break
            ended = _reaped(worker)
        status = _end_all(worker, ended)
    finally:
        _end_as(status)


def _end_all(worker: int, ended: int | None) -> int:
    """Kill every descendant until there is none; how the worker ended, as `waitpid` tells it."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if ended is None:
            with suppress(OSError):
                os.kill(worker, signal.SIGKILL)
        with suppress(OSError):  # where there is no /proc, its session
            os.killpg(worker, signal.SIGKILL)
        for child in children(os.getpid()):
            with suppress(OSError):
                os.kill(child, signal.SIGKILL)
        found = _reaped(worker)
        ended = found if ended is None else ended
        if found == _NONE_LEFT:
            break
        time.sleep(0.01)
    return signal.SIGKILL if ended in (None, _NONE_LEFT) else ended


_NONE_LEFT = -1


def _reaped(worker: int) -> int | None:
    """Wait for all that has ended: the worker's status if it is among them, `_NONE_LEFT` where no child is left."""
    status = None
    while True:
        try:
            child, how = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return _NONE_LEFT if status is None else status
        if child == 0:
            return status
        if child == worker:
            status = how


def _end_as(status: int) -> NoReturn:
    """End as the worker did, so that its owner sees how."""
    try:
        if os.WIFSIGNALED(status):
            import resource  # not on Windows

            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the worker has left one, if any
            number = os.WTERMSIG(status)
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
            os.kill(os.getpid(), number)
    finally:
        os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)


def _hold_nothing_but(kept: set[int]) -> None:
    """Close every other file: whatever reads the run's output, or the worker's pipe, is not to wait for the keeper."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    for number in {int(held) for held in os.listdir("/dev/fd")} - {0, 1, 2} - kept:
        with suppress(OSError):  # that of the list itself
            os.close(number)


def children(pid: int) -> list[int]:
    """The children of a process that have not ended; none where the system has no /proc."""
    found = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # of a thread that has just ended
            found += [int(child) for child in listed.read_text().split()]
    return [child for child in found if not _ended(child)]


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except OSError:
        return True


def _ask_linux(what: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(what, value, 0, 0, 0)
