"""What layers add to a loss: said while they compute, collected by whoever makes a loss of what the network says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

_COLLECTED: ContextVar[list[Tensor] | None] = ContextVar("collected", default=None)


@contextmanager
def collecting() -> Iterator[list[Tensor]]:
    """The penalties `()` that layers add while this is open; most networks have none."""
    found: list[Tensor] = []
    token = _COLLECTED.set(found)
    try:
        yield found
    finally:
        _COLLECTED.reset(token)


def penalise(penalty: Tensor) -> None:
    """Add to the loss of what is computed now, where anybody makes one."""
    if (found := _COLLECTED.get()) is not None:
        found.append(penalty)


def with_penalties(loss: Tensor, found: list[Tensor]) -> Tensor:
    """The loss plus what was collected; the same bits where that is nothing."""
    for penalty in found:
        loss = loss + penalty
    return loss
