"""A CSV file of made people: a gene that follows from their race, and a dose that follows from both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from invbench.cell import Cell, Choice

GENES = ("CC", "CT", "TT")
SHARES: Mapping[str, tuple[float, ...]] = {"north": (0.7, 0.2, 0.1), "south": (0.1, 0.3, 0.6)}


def people(count: int = 400, seed: int = 0, noise: float = 0.4) -> list[dict[str, Any]]:
    """Rows of race, age, smoker, gene and dose = 5 - 1.5 (T alleles) - 0.02 age + 0.5 smoker + noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        race = str(rng.choice(list(SHARES)))
        gene = str(rng.choice(GENES, p=SHARES[race]))
        age, smoker = round(float(rng.uniform(20, 80)), 1), int(rng.random() < 0.3)
        dose = 5 - 1.5 * gene.count("T") - 0.02 * age + 0.5 * smoker + noise * rng.standard_normal()
        rows.append({"race": race, "age": age, "smoker": smoker, "gene": gene, "dose": round(float(dose), 4)})
    return rows


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    """The rows as a CSV file."""
    lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
    file.write_text("\n".join(lines) + "\n")
    return file


def part(kind: str, name: str, **given: Any) -> Choice:
    """A part with its defaults filled in."""
    choice = Choice(kind, name)
    return Choice(kind, name, tuple(choice.part.settings(given).items()))


def cell(file: Path, **said: Any) -> Cell:
    """A cell of game `attribute` on that file: 40 people held out, their gene sensitive, `ridge` trained to dose."""
    columns = {"target": said.pop("target", "dose"), "sensitive": said.pop("sensitive", "gene")}
    usual: dict[str, Any] = {
        "game": "attribute",
        "attack": part("attack", "map-inversion"),
        "model": part("model", "ridge"),
        "dataset": part("dataset", "table", path=file, **columns),
        "data_hash": "",
        "normalisation": None,
        "batch_size": None,
        "defense": (),
        "protocol": part("protocol", "release"),
        "targets": 40,
        "offset": 0,
        "seed": 0,
    }
    return Cell(**(usual | said))
