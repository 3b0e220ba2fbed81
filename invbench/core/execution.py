"""Execution settings that the matrix decides and no attacker: set around a cell, read by what computes its steps.

`compile: on` asks for compiled steps; how long compiling took comes back here. Client and attacker multiply in float32:
PyTorch's own choice for convolutions on a GPU is TF32, which is off by 1e-3. Clients that round are a setting of their
protocol.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


def multiply_in_float32() -> None:
    """Products and convolutions of this process are of float32 operands, client's and attacker's alike, on GPUs too."""
    import torch

    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")


def precision() -> str:
    """What products of this process are of: `float32`, or `tf32` where something less was allowed."""
    import torch

    coarse = torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32
    return "tf32" if coarse or torch.get_float32_matmul_precision() != "highest" else "float32"


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
