"""The settings of a process that are Python's and the system's, each with how it is read and set again: no torch."""

from __future__ import annotations

import builtins
import gc
import locale
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True)
class Setting:
    """`write` is given what `read` gave before; None where nothing can set it again."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object] | None = None

    def lost(self, before: object) -> bool:
        """Put it back where it is another than before; whether that could not be done."""
        try:
            now = self.read()
            if now != before and self.write is not None:
                self.write(before)
                now = self.read()
            return bool(now != before)
        except Exception:  # it cannot even be read any more
            return True


def of_process() -> Iterator[Setting]:
    """Those of Python and of the system. What a library adds to the path of modules goes, too."""
    yield from _of_python()
    if os.name == "posix":
        yield from _of_posix()


def builtins_kept() -> Callable[[], None]:
    """How Python's own functions are put back: called first of all, for nothing works without them."""
    held = vars(builtins)
    return partial(held.update, dict(held))


def _of_python() -> Iterator[Setting]:
    yield Setting("working directory", _folder, lambda before: os.chdir(before) if before else None)
    yield Setting("environment", _environment, _set_environment)
    yield Setting("path of modules", lambda: list(sys.path), _set_path)
    yield _finders()
    yield Setting("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit)
    yield Setting("collection of garbage", gc.isenabled, lambda value: gc.enable() if value else gc.disable())
    yield Setting("trace function", sys.gettrace, sys.settrace)
    yield Setting("profile function", sys.getprofile, sys.setprofile)
    yield Setting("standard output", lambda: (sys.stdout, sys.stderr), _set_streams)
    yield Setting("locale", partial(locale.setlocale, locale.LC_ALL), partial(locale.setlocale, locale.LC_ALL))
    yield Setting("filter that makes warnings errors", _warnings_as_errors, _set_warnings_as_errors)


def _of_posix() -> Iterator[Setting]:
    yield Setting("mask of new files' rights", _umask, os.umask)
    if threading.current_thread() is threading.main_thread():  # Python lets no other thread set a handler
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD, signal.SIGPIPE):
            read, write = partial(signal.getsignal, number), partial(signal.signal, number)
            yield Setting(f"handler of {number.name}", read, write)
    yield Setting("alarm", _alarmed, lambda _: signal.setitimer(signal.ITIMER_REAL, 0))
    yield Setting("priority", partial(os.getpriority, os.PRIO_PROCESS, 0))
    if hasattr(os, "sched_getaffinity"):
        yield Setting("choice of cores", partial(os.sched_getaffinity, 0), partial(os.sched_setaffinity, 0))
    import resource  # not on Windows

    for kind in ("AS", "CPU", "DATA", "FSIZE", "NOFILE", "STACK"):
        limit = getattr(resource, f"RLIMIT_{kind}")
        yield Setting(f"limit {kind}", partial(resource.getrlimit, limit), partial(resource.setrlimit, limit))


def _finders() -> Setting:
    """What finds modules. None of it may be lost; what a library adds stays, for its own modules need it."""
    first = list(sys.meta_path)

    def still() -> list[object]:
        return [finder for finder in sys.meta_path if any(finder is known for known in first)]

    def put_back(_: object) -> None:
        added = [finder for finder in sys.meta_path if not any(finder is known for known in first)]
        sys.meta_path[:] = [*first, *added]

    return Setting("finder of modules", still, put_back)


def _environment() -> dict[Any, Any]:
    """The variables as the system has them: to decode each takes a hundred times as long."""
    return dict(os.environ._data)  # type: ignore[attr-defined]  # CPython's


def _set_environment(before: dict[Any, Any]) -> None:
    os.environ.clear()
    os.environ.update({os.fsdecode(name): os.fsdecode(value) for name, value in before.items()})


def _folder() -> str | None:
    """None where it has been removed meanwhile."""
    try:
        return os.getcwd()
    except OSError:
        return None


def _set_path(before: list[str]) -> None:
    sys.path[:] = before


def _set_streams(before: tuple[Any, Any]) -> None:
    sys.stdout, sys.stderr = before


def _warnings_as_errors() -> list[Any]:
    return [known for known in warnings.filters if known[0] == "error"]


def _set_warnings_as_errors(before: list[Any]) -> None:
    kept = [known for known in warnings.filters if known[0] != "error"]
    warnings.resetwarnings()
    warnings.filters[:] = [*before, *kept]  # type: ignore[index]


def _umask() -> int:
    """It can only be read by setting it; for that moment nobody else may read new files."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _alarmed() -> bool:
    return signal.getitimer(signal.ITIMER_REAL)[0] > 0
