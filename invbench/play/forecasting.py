"""What a cell should cost, from a short version of its attack run here and now."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from invbench.cell import Cell
from invbench.core.attack import Attack
from invbench.core.compiler import load_compiler_late
from invbench.core.memory import counted_memory
from invbench.games import game_of
from invbench.observation import Observation
from invbench.play.asking import attack_of
from invbench.play.knowing import told_observations
from invbench.play.preparing import stand_ins
from invbench.play.reruns import requested_reruns, rerun_artefacts

_TRIAL_TARGETS = 16
"""Targets of a forecast: as many as one chunk of lanes holds, for lanes share the cost of a step."""


@dataclass(frozen=True)
class Forecast:
    """What a cell should take at most: seconds of one worker, and the peak in MB of a GPU (None on a CPU).

    `first`: seconds of each thing that is made before, by the artefact's `what`, where it is not made yet and can be
    told: what its attack prepares, its controls that are the attack on something else, the limits of a target.
    """

    seconds: float
    memory_mb: float | None
    first: Mapping[str, float] = field(default_factory=dict)


def forecast(cell: Cell, device: str) -> Forecast:
    """An upper estimate, from a short version of the attack run here and now on the first targets.

    Nothing is trained or prepared for it: an untrained victim of the same architecture costs the same, and a short
    version stands in for what the attack prepares.
    """
    load_compiler_late()
    few = replace(cell, targets=min(cell.targets, _TRIAL_TARGETS))
    made, first = stand_ins(few)
    with counted_memory(torch.device(device)) as peak:
        dealt = told_observations(few, game_of(few).trial(few, torch.device(device)))
        seen = [replace(one, prepared=made) for one in dealt] if made else dealt
        parts = attack_of(cell).parts(seen[0].public)
        seconds = sum(_trial_seconds(part, seen) for _, part in parts)
    for one in game_of(few).artefacts(few):
        if one.trial is not None and not one.made and one.what not in first:
            first[one.what] = one.trial()
    return Forecast(seconds * cell.targets, peak.mb, {**first, **_reruns(cell, device, seconds)})


def _reruns(cell: Cell, device: str, seconds: float) -> dict[str, float]:
    """What the same attack takes on each of its reruns that is not made, given its seconds a target: equally long."""
    asked, artefacts = requested_reruns(cell), rerun_artefacts(cell, device)
    return {one.what: seconds * asked[name].cell.targets for name, one in artefacts.items() if not one.made}


def _trial_seconds(attack: Attack[Any, Any, Any], observations: Sequence[Observation[object]]) -> float:
    """Seconds of the whole attack a target, from its trial. One target is enough where they share no work."""
    trial, factor = attack.trial()
    few = observations if attack.shares_work else observations[:1]
    trial.attack_all(copy.deepcopy(few))  # pays for loading kernels; of a copy, whose budget of queries it uses up
    started = time.perf_counter()
    trial.attack_all(few)
    seconds: float = (time.perf_counter() - started) * factor / len(few)
    return seconds
