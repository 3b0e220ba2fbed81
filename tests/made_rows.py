"""Cells of clients who train a network on rows of a table: made people, or the synthetic cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made_tables
import torch

from invbench.cell import Cell
from invbench.core.attack import Attack
from invbench.games import Deal, Scores, game_of
from invbench.play.knowing import told_observations

SMALL = {"name": "table-mlp", "width": 16}


def cell(folder: Path, attack: dict[str, Any], **said: Any) -> Cell:
    """A cell of the attack's game on 240 made people: 60 are held out; `protocol` and `model` by their settings."""
    file = folder / "rows.csv"
    if not file.exists():
        made_tables.write(file, made_tables.people(240))
    chosen = made_tables.part("attack", **attack)
    usual: dict[str, Any] = {"batch_size": 1, "targets": 30, "data_hash": "made"}
    given = {kind: said.pop(kind) for kind in ("protocol", "model") if kind in said}
    usual |= {
        "game": chosen.part.facts["game"],
        "attack": chosen,
        "model": made_tables.part("model", **{**SMALL, **given.get("model", {})}),
        "protocol": made_tables.part("protocol", **{"name": "fedsgd"} | given.get("protocol", {})),
    }
    return made_tables.cell(file, **(usual | said))


def dealt(cell: Cell) -> Deal[Any, Any]:
    return game_of(cell).deal(cell, torch.device("cpu"))


def attacked(cell: Cell) -> tuple[Scores, dict[str, Scores]]:
    """The scores of the cell's attack and of its controls."""
    deal = dealt(cell)
    seen = told_observations(cell, deal.observations)
    return deal.score(cell.attack.build(Attack).attack_all(seen)), dict(deal.controls())


def rerun(cell: Cell, name: str) -> Scores:
    """The scores of a control that runs the attack once more."""
    deal, again = dealt(cell), game_of(cell).reruns(cell)[name]
    return deal.score(cell.attack.build(Attack).attack_all(told_observations(cell, again.observe(torch.device("cpu")))))
