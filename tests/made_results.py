"""Results folders for the report's tests: made-up numbers, real small pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits  # type: ignore[import-untyped]

from invbench.scoring.pictures import grid_png
from invbench.store import Record, Results

ENVIRONMENT = {
    "python": "3.11.9",
    "processor": "a processor",
    "cores": 2,
    "versions": {"invbench": "0.1.0", "torch": "2.14.1"},
    "git": "0123abc-dirty",
    "command": ["run", "my matrix.yaml"],
}
UPDATE = {
    "game": "update",
    "dataset": "digits",
    "attack": "dlg",
    "model": "lenet",
    "batch_size": 1,
    "defense": "none",
    "protocol": "fedsgd",
    "seed": 0,
}
ATTRIBUTE = UPDATE | {
    "game": "attribute",
    "dataset": "warfarin(sensitive=vkorc1)",
    "attack": "map-inversion",
    "model": "iwpc",
    "batch_size": None,
    "defense": None,
    "protocol": None,
}


def nested(values: Sequence[float | None]) -> list[list[float | None]]:
    """One item a target."""
    return [[value] for value in values]


def made_id(names: dict[str, Any]) -> str:
    """An id that depends on the names alone."""
    return hashlib.sha256(json.dumps(names, sort_keys=True).encode()).hexdigest()[:16]


def update_record(
    psnr: Sequence[float] = (30.0, 34.0), control: float = 14.0, *, facts: dict[str, Any] | None = None, **names: Any
) -> Record:
    """A cell of game `update` that ended ok, one picture a target; `names` and `facts` change it."""
    named = UPDATE | names
    count = len(psnr)
    grey = [control + 0.5 * (-1) ** k for k in range(count)]
    scores = {
        "psnr": nested(psnr),
        "ssim": nested([None] * count),
        "lpips": nested([1 / p for p in psnr]),
        "label_accuracy": nested([1.0] * count),
        "identified": nested([float(p > 20) for p in psnr]),
        "recovered": nested([1.0] * count),
        "exact": nested([float(p > 80) for p in psnr]),
    }
    plain: dict[str, Any] = {
        "schema": 1,
        "id": made_id(named),
        "status": "ok",
        "reason": None,
        "names": named,
        "settings": {"attack": {"name": named["attack"], "tv": 0.01}, "defense": [], "seed": named["seed"]},
        "targets": count,
        "images": count,
        "scores": scores,
        "controls": {
            "grey": {"psnr": nested(grey), "lpips": nested([0.5] * count)},
            "mean": {"psnr": nested([g - 1 for g in grey]), "lpips": nested([0.4] * count)},
        },
        "diverged": 0,
        "evaluations": [300] * count,
        "objectives": [0.1] * count,
        "notes": ["ssim is empty: the pictures are smaller than its window"],
        "seconds": {"attack": 1.5, "cell": 2.25},
        "memory_mb": 120.5,
        "device": "cpu",
        "torch": "2.14.1",
        "dataset": {"name": "digits", "hash": "ab" * 32, "path": None},
    }
    return Record.from_json(json.loads(json.dumps(plain | (facts or {}))), "made up")


def attribute_record(right: Sequence[int] = (1, 1, 1, 0), **names: Any) -> Record:
    """A cell of game `attribute` that ended ok; the controls are right for every second and every third person.

    By macro AUC it has read nothing beyond imputation.
    """
    count = len(right)
    scores = {"accuracy": nested([float(r) for r in right]), "macro_auc": nested([0.6] * count)}
    mode = {"accuracy": nested([float(k % 3 == 0) for k in range(count)]), "macro_auc": nested([0.5] * count)}
    imputation = {"accuracy": nested([float(k % 2 == 0) for k in range(count)]), "macro_auc": nested([0.6] * count)}
    facts = {"scores": scores, "controls": {"mode": mode, "imputation": imputation}, "notes": []}
    named: dict[str, Any] = ATTRIBUTE | names
    return update_record([1.0] * count, facts=facts, **named)


def empty_record(status: str, reason: str, **names: Any) -> Record:
    """A cell that has no numbers."""
    nothing: dict[str, Any] = {
        "scores": {},
        "controls": {},
        "evaluations": [],
        "objectives": [],
        "notes": [],
        "seconds": {},
        "memory_mb": None,
    }
    return update_record(facts=nothing | {"status": status, "reason": reason}, **names)


def made_results(folder: Path, records: Sequence[Record], planned: Sequence[str] = ()) -> Results:
    """A results folder as a run leaves it; `planned` are ids without a record. Cells of `update` get a picture."""
    results = Results(folder)
    results.create("name: made-up\n", [*(record.id for record in records), *planned], ENVIRONMENT)
    for record in records:
        picture = digits_grid() if record.status == "ok" and record.names["game"] == "update" else None
        results.write(record, files={"grid.png": picture} if picture else {})
    return results


@cache
def digits_grid() -> bytes:
    """A grid of real pictures: two handwritten digits and their noisy copies."""
    images = load_digits().images[:2, None] / 16
    noisy = np.clip(images + np.random.default_rng(0).normal(0, 0.1, images.shape), 0, 1)
    return grid_png(images, list(noisy), [20.0, 20.0], title="two digits")
