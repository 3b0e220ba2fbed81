"""Records of cells that did not come to scores, and why something failed, in words."""

from __future__ import annotations

import inspect
import os
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import invbench
from invbench.cell import Cell
from invbench.core.errors import in_words
from invbench.core.memory import is_out_of_memory
from invbench.store import Record, Status


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


def why_failed(error: Exception, cell: Cell) -> str:
    """`TypeError: what was wrong (file.py:12)`: the innermost place in invbench or in the file of one of the parts."""
    text = in_words(error)
    if is_out_of_memory(error):
        return f"out of memory: {text}" if text else "out of memory"
    own = (f"{Path(invbench.__file__).parent}{os.sep}", *(inspect.getfile(cls) for cls in cell.classes))
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(own)] or frames
    place = f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""
    return f"{type(error).__name__}: {text}{place}"


def _dataset(cell: Cell) -> dict[str, Any]:
    path = dict(cell.dataset.settings).get("path")
    return {"name": cell.dataset.short, "hash": cell.data_hash, "path": path.name if path else None}
