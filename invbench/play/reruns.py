"""The scores of an attack on other observations than the cell's: computed once for all cells that share them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt
import torch

from invbench import registry
from invbench.cell import Cell
from invbench.core.artefacts import Artefact, Tensors, fetch
from invbench.core.attack import Attack
from invbench.core.execution import Settings
from invbench.core.sources import ATTACKER, GAME, VICTIM, hash_of
from invbench.games import Rerun, Scores, game_of
from invbench.play.answering import answer
from invbench.play.dealing import dealt
from invbench.play.plain import scores_of, told
from invbench.play.preparing import preparations, prepared
from invbench.sheets import metric_of

_TEXT, _KEPT = "scores", "kept "


def requested_reruns(cell: Cell) -> dict[str, Rerun[Any]]:
    """Those of the game's reruns that the matrix asks for."""
    return {name: rerun for name, rerun in game_of(cell).reruns(cell).items() if name in cell.controls}


def rerun_artefacts(cell: Cell, device: str) -> dict[str, Artefact]:
    """What holds the scores of each requested rerun."""
    return {name: _artefact(name, rerun, device) for name, rerun in requested_reruns(cell).items()}


@dataclass(frozen=True, eq=False)
class Reran:
    """What came of a rerun: its scores, and what the game draws of its answers (`Deal.of_rerun`)."""

    scores: Scores
    kept: dict[str, npt.NDArray[Any]]


def reran(cell: Cell, device: str) -> dict[str, Reran]:
    """What came of each requested rerun, by its name."""
    return {name: _read(fetch(artefact)) for name, artefact in rerun_artefacts(cell, device).items()}


def _artefact(name: str, rerun: Rerun[Any], device: str) -> Artefact:
    cell = replace(rerun.cell, attack=rerun.cell.attack.told_of(rerun.cell.defense))
    theirs = sorted(metric for metric in registry.plugin_names("metric") if metric_of(metric.replace("-", "_")))
    metrics = [registry.module_of("metric", metric) for metric in theirs]
    code = hash_of((*ATTACKER, *VICTIM, *GAME), *cell.classes, *metrics)
    key = {"rerun": name, "cell": {**cell.settings, "defense": [d.key for d in cell.defense or ()]}, "code": code}

    def make() -> Tensors:
        attack = cell.attack.build(Attack)
        deal, of_dealt = dealt(cell, torch.device(device)), rerun.of_dealt
        seen = rerun.observe(torch.device(device)) if of_dealt is None else of_dealt(deal.observations)
        seen = prepared(cell, seen)
        answers = answer(attack, seen, Settings(compile=cell.compile)).answers
        told(cell.attack.name, deal, answers)
        text = json.dumps(scores_of(deal.score(answers), f"game {cell.game}"))
        kept = {_KEPT + name: torch.from_numpy(array) for name, array in deal.of_rerun(answers).items()}
        return {_TEXT: torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8), **kept}

    needs = (*rerun.needs, *preparations(cell).values())
    what = f"{cell.attack.short} on {name}, {cell.model.short}"
    return Artefact(what if cell.batch_size is None else f"{what}, batch {cell.batch_size}", key, make, needs)


def _read(tensors: Tensors) -> Reran:
    scores: Scores = json.loads(bytes(tensors[_TEXT].tolist()))
    kept = {name.removeprefix(_KEPT): t.numpy() for name, t in tensors.items() if name.startswith(_KEPT)}
    return Reran(scores, kept)
