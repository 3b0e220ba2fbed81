"""Cells small enough to play in a test: real crops in a user's npz, read through a matrix file as users write it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from exact_attack import EXACT

from invbench import matrix, registry, sheets
from invbench.cell import Cell
from invbench.data.natural import Natural

AXES = ("attack", "model", "batch_size", "defense", "protocol")
MLP = {"name": "mlp", "width": 8, "depth": 1}
"""The smallest victim whose input an attack in closed form reads."""


def crops(count: int, side: int = 16, channels: int = 3) -> npt.NDArray[np.uint8]:
    """Corners of photographs, `(count, channels, side, side)`, all different."""
    pool = Natural().load()
    return pool.images[:count, :channels, :side, :side].copy()


def write_pool(file: Path, images: npt.NDArray[Any] | None = None, labels: npt.NDArray[np.int64] | None = None) -> Path:
    """A user's data set: 12 crops of 16 x 16 in three classes that take turns, unless told otherwise."""
    images = crops(12) if images is None else images
    np.savez(file, images=images, labels=np.arange(len(images)) % 3 if labels is None else labels)
    return file


def make_cells(folder: Path, **said: Any) -> tuple[Cell, ...]:
    """The cells of a matrix in `folder`, on its `pool.npz` unless told otherwise; an axis may be a list."""
    if "dataset" not in said and not (folder / "pool.npz").exists():
        write_pool(folder / "pool.npz")
    grid = {"attack": EXACT, "model": MLP, "batch_size": 1, "defense": "none"}
    grid |= {axis: said.pop(axis) for axis in AXES if axis in said}
    text = yaml.safe_dump({"dataset": {"name": "npz", "path": "pool.npz"}, "targets": 2} | said | {"grid": grid})
    (folder / "m.yaml").write_text(text)
    return matrix.load(folder / "m.yaml", []).cells


def make_cell(folder: Path, **said: Any) -> Cell:
    """The only cell of such a matrix."""
    (only,) = make_cells(folder, **said)
    return only


@contextmanager
def plugged(folder: Path, parts: Mapping[str, str]) -> Iterator[None]:
    """Parts of an installed distribution, by entry point: `{"attacks.idle": source}`."""
    site = folder / "site"
    information = site / "theirs-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    lines = ["[invbench.plugins]"]
    for name, source in parts.items():
        module = f"their_{name.replace('.', '_').replace('-', '_')}"
        (site / f"{module}.py").write_text(source)
        lines.append(f"{name} = {module}")
    (information / "entry_points.txt").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        forget()
        try:
            yield
        finally:
            forget()


def forget() -> None:
    """What this process remembers of the parts installed."""
    registry.forget()
    sheets.forget()
    for module in [name for name in sys.modules if name.startswith("their_")]:  # `their_attacks` is our own helper
        if module != "their_attacks":
            del sys.modules[module]
