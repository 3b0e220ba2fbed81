"""What a part changed for the whole process is put back before anything else is computed there: a leaf.

Whoever runs many tasks in one process says how (`tidying`); elsewhere nothing is put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_ways: list[Callable[[], str]] = []


@contextmanager
def tidying(put_back: Callable[[], str]) -> Iterator[None]:
    """Inside the block `tidied` puts back by this way, which says what it could not."""
    _ways.append(put_back)
    try:
        yield
    finally:
        _ways.remove(put_back)


def tidied(part: str) -> None:
    """Put back what the part changed; ValueError, naming it, where it replaced what cannot be put back."""
    for put_back in _ways:
        if left := put_back():
            raise ValueError(f"{part} left {left}; nothing that is computed after it in its process would be sure")
