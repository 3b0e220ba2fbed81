"""What a task leaves behind in its process: put back where that can be done, else named, and the process is not reused.

Before a task all of invbench that it may compute with is loaded and looked at, and the global random streams are set to
the task's own. After it every setting that is another than before the first task is put back. What still differs is
named, with functions and methods that were replaced or made to do something else, threads and processes that go on.
What a part changes inside its own modules, in a library that is not watched (`_LIBRARIES`), or inside an object that
several share and that is no function, is not seen.
"""

from __future__ import annotations

import importlib
import operator
import pkgutil
import random
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from zlib import crc32

import numpy as np
import torch

from invbench.core.process import builtins_kept
from invbench.runs.executors._functions import Functions
from invbench.runs.executors._settings import settings

_OURS = tuple(
    f"invbench.{room}"
    for room in (
        *("attacks", "core", "data", "defenses", "games", "matching", "metrics", "models", "numbers", "observation"),
        *("peeling", "play", "protocol", "scoring", "sheets", "updates", "victims"),
    )
)
"""The packages of invbench that a task may compute with."""
_BY_NEED = ("invbench.models.",)  # loaded where they are asked for: torchvision takes seconds
_LIBRARIES = {
    *(
        "builtins",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "functools",
        "hashlib",
        "io",
        "itertools",
        "json",
    ),
    *("math", "operator", "random", "statistics", "struct", "zipfile", "zlib", "safetensors.torch"),
    *("numpy", "numpy.fft", "numpy.linalg", "numpy.random", "torch", "torch.fft", "torch.nn.attention"),
    *("torch.autograd", "torch.func", "torch.linalg", "torch.nn", "torch.nn.functional", "torch.nn.init"),
    *("torch.optim", "torch.random", "scipy.optimize", "skimage.metrics", "lpips"),
}
"""Modules of others whose functions numbers rest on, where they are loaded."""
_SHOWN = 3  # things named of those left behind; more are counted


class Remains:
    """Watches one process over its tasks, from before the first."""

    def __init__(self) -> None:
        self.put_builtins_back = builtins_kept()
        self.settings = [(setting, setting.read()) for setting in settings()]
        self.functions = Functions()
        self.seen: dict[Any, list[object]] = {}  # a module or class to the values of its names, in their order
        self.known = set[str]()  # modules that were loaded when it last looked
        self.going_on = set[str]()

    def look(self, task: str) -> None:
        """Before a task, once its own module is loaded."""
        if not self.seen:
            _load_ours()
        self.seen |= {holder: [] for holder in _holders(sys.modules.keys() - self.known) if holder not in self.seen}
        self.known = set(sys.modules)
        for holder, before in self.seen.items():
            if len(before) != len(vars(holder)):
                self.seen[holder] = list(vars(holder).values())
                self.functions.look(self.seen[holder])
        self.going_on = _going_on()
        _seed(task)

    def put_back(self) -> str:
        """Put every setting back; what is still different in words, with what was replaced. Empty where nothing is."""
        return _in_words(self._left())

    def clear(self) -> str:
        """After the task: the same, with what goes on."""
        return _in_words([*self._left(), *sorted(_going_on() - self.going_on)])

    def _left(self) -> list[str]:
        self.put_builtins_back()
        return [*self._unset(), *self._replaced(), *(f"another {name}" for name in self.functions.changed())]

    def _unset(self) -> Iterator[str]:
        """Settings that could not be put back."""
        for setting, before in self.settings:
            if setting.lost(before):
                yield f"another {setting.name}"

    def _replaced(self) -> Iterator[str]:
        """Names that mean something else than before the task; those that have been added come last, and may."""
        for holder, before in self.seen.items():
            now = vars(holder)
            if len(now) < len(before) or not all(map(operator.is_, before, now.values())):
                pairs = zip(now.items(), before, strict=False)
                others = [name for (name, value), old in pairs if value is not old and not _own(holder, name, value)]
                if others or len(now) < len(before):
                    yield f"another {'.'.join([getattr(holder, '__qualname__', holder.__name__), *others[:1]])}"
                else:
                    self.seen[holder] = list(now.values())
                    self.functions.look(self.seen[holder])


def _in_words(left: list[str]) -> str:
    more = [f"{len(left) - _SHOWN} more"] if len(left) > _SHOWN else []
    return ", ".join(left[:_SHOWN] + more)


def _own(holder: Any, name: str, value: object) -> bool:
    """Whether a library has replaced its function by another of its own, or a stand-in by its own module.

    So does torch once it may compile.
    """
    top = sys.modules.get((getattr(holder, "__module__", None) or holder.__name__).partition(".")[0])
    home = getattr(top, "__file__", None)
    file: str | None
    if isinstance(value, ModuleType):
        file, known_as = getattr(value, "__file__", None), f"{holder.__name__}.{name}"
    else:
        file, known_as = getattr(getattr(value, "__code__", None), "co_filename", None), name
    if file is None or home is None or getattr(value, "__name__", None) != known_as:
        return False
    return file.startswith(str(Path(home).parent))


def _load_ours() -> None:
    """What a task replaces in a module that it is itself the first to load could not be seen."""
    for room in _OURS:
        package = importlib.import_module(room)
        for found in pkgutil.walk_packages(package.__path__, f"{room}."):
            if not found.name.startswith(_BY_NEED):
                importlib.import_module(found.name)


def _holders(names: Iterable[str]) -> Iterator[Any]:
    """Those of these modules that are looked at, and their classes."""
    for name in names:
        module = sys.modules[name]
        if isinstance(module, ModuleType) and (name in _LIBRARIES or name.startswith(_OURS)):
            yield module
            classes = (value for value in list(vars(module).values()) if isinstance(value, type))
            yield from (cls for cls in classes if cls.__module__.partition(".")[0] in ("invbench", "torch"))


def _going_on() -> set[str]:
    """Threads of Python and child processes that are there, in words."""
    found = {f"a thread that goes on ({thread.name})" for thread in threading.enumerate()}
    for listed in Path("/proc/self/task").glob("*/children"):
        try:
            found |= {f"a process that goes on ({child})" for child in listed.read_text().split()}
        except OSError:  # of a thread that has just ended
            continue
    return found


def _seed(task: str) -> None:
    """Global random streams that follow from the task alone, for parts that draw from them against all advice."""
    seed = crc32(task.encode())
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
