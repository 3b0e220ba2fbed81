"""The peak memory of one stretch of work; and running out of it."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from invbench.core.errors import in_words

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Peak:
    """Filled when the stretch ends: MB (10^6 bytes) above what the process held before it."""

    mb: float | None = None


@contextmanager
def counted_memory(device: torch.device) -> Iterator[Peak]:
    """The block's peak on a GPU, whose allocations are counted.

    None on a CPU, where nothing counts what one of many cells takes: a process's resident memory also holds the
    libraries that its first cell loads, and what earlier cells left to be used again (8 or 324 MB for one cell).
    """
    peak = Peak()
    if device.type != "cuda":
        yield peak
        return
    torch.cuda.init()  # type: ignore[no-untyped-call]  # a process that has not begun to use a GPU counts nothing
    torch.cuda.reset_peak_memory_stats(device)
    held = torch.cuda.memory_allocated(device)
    yield peak
    peak.mb = (torch.cuda.max_memory_allocated(device) - held) / 1e6


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """The block's peak in a process that does one thing: on a CPU its resident memory above that at the block's start.

    What earlier work left unused is given back first. None where the system does not tell (no `/proc`).
    """
    if device.type == "cuda":
        with counted_memory(device) as peak:
            yield peak
        return
    peak = Peak()
    _give_back()
    before = _resident("VmRSS") if _reset() else None
    yield peak
    after = _resident("VmHWM")
    if before is not None and after is not None:
        peak.mb = max(0.0, after - before)


def _give_back() -> None:
    gc.collect()
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except AttributeError:  # a C library without it
            return


def _reset() -> bool:
    """Start the high-water mark anew; False where the system has none to start."""
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return True


def _resident(field: str) -> float | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith(field + ":")]
    return int(found[0].split()[1]) * 1024 / 1e6 if found else None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or (PyTorch's CPU allocator has no type of its own) elsewhere."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in in_words(error)
