"""How far a long computation is: a leaf that attacks and training call and a worker listens to.

A report never changes a result and carries no truth: counts and the attacker's own objective.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """`done` of `total` steps of `phase`; `objective`: the value being minimised, None where there is none."""

    phase: str
    done: int
    total: int
    objective: float | None = None


Listener = Callable[[Progress], None]
_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send every report made inside the block to `listener`."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def report(phase: str, done: int, total: int, objective: float | None = None) -> None:
    """Tell whoever listens how far `phase` is."""
    for listener in _listeners:
        listener(Progress(phase, done, total, objective))
