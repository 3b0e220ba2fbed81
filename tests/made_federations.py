"""Federations of many rounds, small enough for a test: drawn ones, and cells of game `participation`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from small_cells import MLP, make_cell

from invbench.cell import Cell

Floats = npt.NDArray[np.float64]


def drawn(
    clients: int, rounds: int, taking_part: int, length: int = 100, noise: float = 0.0, seed: int = 0
) -> tuple[Floats, Floats, Floats]:
    """A participation matrix `(T, n)`, normal updates `(n, d)` and the sums of rounds, behind noise, `(T, d)`."""
    draws = np.random.default_rng(seed)
    there = np.zeros((rounds, clients))
    for row in there:
        row[draws.permutation(clients)[:taking_part]] = 1
    updates = draws.normal(size=(clients, length))
    return there, updates, there @ updates + noise * draws.normal(size=(rounds, length))


def federation_cell(folder: Path, attack: Any = "disaggregate", targets: int = 1, **protocol: Any) -> Cell:
    """The only cell of such a matrix on crops; `protocol` holds settings of `many-rounds`, `defense`, `batch_size`."""
    axes = {axis: protocol.pop(axis) for axis in ("defense", "batch_size", "model", "controls") if axis in protocol}
    asked = {"name": "many-rounds", "clients": 6, "taking_part": 2, "rounds": 24, "window": 6, **protocol}
    return make_cell(folder, attack=attack, targets=targets, protocol=asked, **{"model": MLP, **axes})
