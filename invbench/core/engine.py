"""How a cell is computed where that is no attacker's choice: a leaf that `play.py` sets and engines read.

`compile: on` asks an engine to compile its steps; what it did with the wish, and how long that took, comes back here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Engine:
    """`compiles`: whether steps may be compiled. `compile_seconds`: the time that compiling has taken so far."""

    compiles: bool = False
    compile_seconds: float = 0.0

    @contextmanager
    def compiling(self) -> Iterator[None]:
        """Count the block's wall time as compiling."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.compile_seconds += time.perf_counter() - started


_current: ContextVar[Engine | None] = ContextVar("engine", default=None)


def current() -> Engine:
    """The engine's wishes of the cell that is being computed; outside of any, nothing is compiled."""
    return _current.get() or Engine()


@contextmanager
def using(compile: str) -> Iterator[Engine]:
    """Compute the block with `compile: off` or `on`."""
    engine = Engine(compiles=compile == "on")
    token = _current.set(engine)
    try:
        yield engine
    finally:
        _current.reset(token)
