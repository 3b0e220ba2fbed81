"""Cells of game `informed`, small enough to train in a test."""

from __future__ import annotations

from pathlib import Path

from invbench import matrix
from invbench.cell import Cell

SMALL = "{name: mlp, width: 4, depth: 1}"


def informed_cell(folder: Path, defense: str, targets: int = 3, model: str = SMALL, **protocol: object) -> Cell:
    """The only cell of such a matrix, on `digits`; `protocol` holds settings of `every-step`."""
    said = ", ".join(f"{key}: {value}" for key, value in protocol.items())
    (folder / "m.yaml").write_text(
        f"dataset: digits\ntargets: {targets}\ngrid:\n  attack: prior-match\n  model: {model}\n"
        f"  protocol: {{name: every-step, {said}}}\n  defense: {defense}\n"
    )
    (only,) = matrix.load(folder / "m.yaml", []).cells
    return only
