"""What one cell gives to the results folder; records of cells that did not come to scores, and why, in words."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

import invbench
from invbench.cell import Cell
from invbench.core.errors import in_words, trace_of
from invbench.core.memory import is_out_of_memory
from invbench.store import Record, Status

TRACEBACK = "traceback.txt"
"""The file beside a failed cell's record that says where it failed."""


@dataclass(frozen=True)
class Played:
    """What one cell gives to the results folder: its record, arrays, and files by name."""

    record: Record
    arrays: Mapping[str, npt.NDArray[Any]] | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


def unplayed(cell: Cell, status: Status, reason: str) -> Record:
    """The record of a cell that has no scores: failed, timeout or unsupported, and why."""
    return Record(
        id=cell.id,
        status=status,
        reason=reason,
        names=cell.names,
        settings=cell.settings,
        targets=cell.targets,
        images=cell.targets * (cell.batch_size or 1),
        dataset=_dataset(cell),
    )


def with_seconds(record: Record, seconds: float, device: str) -> Record:
    """The record of a cell that did not end by itself, with how long it ran and where."""
    return replace(record, seconds={"cell": seconds}, device=device, torch=torch.__version__)


def failed_by(error: BaseException, cell: Cell) -> Played:
    """The failure of a cell by what one of its parts raised."""
    return failed(cell, why_failed(error, cell), trace_of(error))


def failed(cell: Cell, reason: str, trace: str, status: Status = "failed") -> Played:
    """The failure of a cell, with the traceback where there is one."""
    return Played(unplayed(cell, status, reason), files={TRACEBACK: trace.encode()} if trace else {})


def why_failed(error: BaseException, cell: Cell) -> str:
    """`TypeError: what was wrong (file.py:12)`: the innermost place in invbench or in the file of one of the parts."""
    words = in_words(error)
    if is_out_of_memory(error):
        return f"out of memory: {words}" if words else "out of memory"
    own = (f"{Path(invbench.__file__).parent}{os.sep}", *filter(None, map(_file, cell.classes)))
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(own)] or frames
    place = f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""
    return f"{type(error).__name__}: {words}{place}"


def _file(cls: type) -> str | None:
    """The file that a part is written in, None where the class was made by other means."""
    return getattr(sys.modules.get(cls.__module__), "__file__", None)


def _dataset(cell: Cell) -> dict[str, Any]:
    path = dict(cell.dataset.settings).get("path")
    return {"name": cell.dataset.short, "hash": cell.data_hash, "path": path.name if path else None}
