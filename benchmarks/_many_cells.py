"""Matrices and results of any number of cells: real ids and names, made-up numbers. Nothing here is a measurement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from invbench.cell import Cell
from invbench.matrix import Matrix, load
from invbench.store import Results

TARGETS = 8
MATRIX = """\
name: many
dataset: natural
targets: {targets}
seed: [{seeds}]
grid:
  attack: [analytic, dlg]
  model: [lenet, mlp]
  batch_size: [1, 2]
  defense:
    - none
    - {{name: gaussian, std: 0.001}}
    - {{name: gaussian, std: 0.01}}
    - {{name: top-k, fraction: 0.1}}
    - [{{name: clip, norm: 1.0}}, {{name: gaussian, std: 0.01}}]
"""
"""Forty cells a seed; fifteen of them are unsupported."""


def write_matrix(path: Path, cells: int) -> Matrix:
    """A matrix file of at least that many cells, and what it holds."""
    seeds = ", ".join(map(str, range(-(-cells // 40))))
    path.write_text(MATRIX.format(targets=TARGETS, seeds=seeds))
    return load(path)


def write_results(folder: Path, matrix: Matrix, cells: list[Cell]) -> Results:
    """A folder in which these cells ended ok: some read everything, some nothing, as their made-up numbers have it."""
    results, drawn = Results(folder), np.random.default_rng(0)
    with results.lock():
        results.create(matrix.text, [cell.id for cell in matrix.cells], {})
    controls = {batch: {name: _similar(drawn, 12.0, 0.0) for name in ("grey", "mean")} for batch in (1, 2)}
    for cell in cells:
        assert cell.batch_size is not None
        level = float(drawn.uniform(5, 40))
        scores = _similar(drawn, level, min(1.0, max(0.0, (level - 8) / 20)))
        scores |= {"label_accuracy": [[1.0]] * TARGETS, "recovered": [[1.0]] * TARGETS, "exact": [[0.0]] * TARGETS}
        plain: dict[str, Any] = {
            "schema": 1,
            "id": cell.id,
            "status": "ok",
            "reason": None,
            "names": cell.names,
            "settings": cell.settings,
            "targets": TARGETS,
            "images": TARGETS,
            "scores": scores,
            "controls": controls[cell.batch_size],
            "diverged": 0,
            "evaluations": [300] * TARGETS,
            "objectives": drawn.uniform(0, 1, TARGETS).tolist(),
            "notes": [],
            "seconds": {"attack": 1.5, "scoring": 0.05, "controls": 0.1, "cell": 1.75},
            "memory_mb": 120.5,
            "device": "cpu",
            "torch": "none",
            "dataset": {"name": "natural", "hash": cell.data_hash, "path": None},
        }
        place = results.cell(cell.id)
        place.mkdir()
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in plain.items()]
        (place / "record.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return results


def _similar(drawn: np.random.Generator, level: float, share: float) -> dict[str, list[list[float]]]:
    """One value a target of every metric that compares pictures."""
    columns = {
        "psnr": drawn.normal(level, 2, TARGETS),
        "ssim": np.clip(drawn.normal(share, 0.1, TARGETS), 0, 1),
        "lpips": np.clip(drawn.normal(0.5 * (1 - share), 0.05, TARGETS), 0, 1),
        "identified": (drawn.random(TARGETS) < share).astype(float),
    }
    return {metric: [[value] for value in values.tolist()] for metric, values in columns.items()}
