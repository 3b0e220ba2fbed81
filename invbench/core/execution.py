"""Execution settings that the matrix decides and no attacker: set around a cell, read by what computes its steps.

`compile: on` asks for compiled steps; how long compiling took comes back here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How to compute, whatever is computed. `compile`: `on` where steps may be compiled, else `off`."""

    compile: str = "off"


DEFAULT = Settings()


@dataclass
class Execution:
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


_current: ContextVar[Execution | None] = ContextVar("execution", default=None)


def current() -> Execution:
    """Settings of the current cell; by default nothing is compiled."""
    return _current.get() or Execution()


@contextmanager
def using(settings: Settings) -> Iterator[Execution]:
    """Compute the block with these settings."""
    execution = Execution(compiles=settings.compile == "on")
    token = _current.set(execution)
    try:
        yield execution
    finally:
        _current.reset(token)
