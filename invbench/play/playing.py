"""A cell played, as its record: the one function that a worker calls for it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy.typing as npt
import torch

from invbench.cell import Cell
from invbench.core.execution import Settings, precision
from invbench.core.memory import peak_memory
from invbench.data import Dataset
from invbench.games import Scores, game_of
from invbench.observation import Answer
from invbench.play.answering import answer
from invbench.play.asking import attack_of, requested_controls
from invbench.play.outcomes import unplayed, why_failed
from invbench.play.preparing import prepared
from invbench.play.reruns import rerun_scores
from invbench.store import Record


@dataclass(frozen=True)
class Played:
    """What one cell gives to the results folder: its record, arrays, and files by name."""

    record: Record
    arrays: Mapping[str, npt.NDArray[Any]] | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


def play(cell: Cell, device: str) -> Played:
    """Play the cell. Whatever goes wrong inside is its record's `failed`, with the reason and the place."""
    started = time.perf_counter()
    with peak_memory(torch.device(device)) as peak:
        try:
            played = _play(cell, device)
        except Exception as error:  # an exception is a failed cell, never a result
            played = Played(unplayed(cell, "failed", why_failed(error, cell)))
    seconds = {**played.record.seconds, "cell": time.perf_counter() - started}
    record = replace(played.record, seconds=seconds, memory_mb=peak.mb, device=device, torch=torch.__version__)
    record = replace(record, precision=precision())
    return replace(played, record=record)


def _play(cell: Cell, device: str) -> Played:
    if cell.dataset.build(Dataset).load().content != cell.data_hash:
        raise ValueError(f"data set {cell.dataset.short} changed while the matrix ran")
    deal = game_of(cell).deal(cell, torch.device(device))
    if len(deal.observations) != cell.targets:
        raise ValueError(f"game {cell.game} dealt {len(deal.observations)} observations for {cell.targets} targets")
    given = answer(attack_of(cell), prepared(cell, deal.observations), Settings(compile=cell.compile))
    answers: Sequence[Answer] = given.answers
    clock = time.perf_counter()
    scores = _whole(deal.score(answers), cell)
    scoring_seconds = time.perf_counter() - clock
    clock = time.perf_counter()
    controls = {name: _whole(of, cell) for name, of in {**deal.controls(), **rerun_scores(cell, device)}.items()}
    if lacking := requested_controls(cell) - controls.keys():
        raise ValueError(f"game {cell.game} made no control {sorted(lacking)[0]!r}, which its sheet names")
    limits = _whole(deal.limits(), cell)
    if twice := scores.keys() & limits.keys():
        raise ValueError(f"game {cell.game} has a score and a limit called {sorted(twice)[0]!r}")
    record = replace(
        unplayed(cell, "ok", ""),
        reason=None,
        images=max((sum(map(len, targets)) for targets in scores.values()), default=0),
        scores={**scores, **limits},
        controls=controls,
        diverged=sum(one.diverged for one in answers),
        evaluations=tuple(one.evaluations for one in answers),
        objectives=tuple(one.objective for one in answers),
        notes=(*deal.notes, *_counted(answers)),
        facts=_facts(answers),
        stopped=_stopped(answers),
        seconds={
            "attack": given.seconds,
            **({"compile": given.compile_seconds} if cell.compile == "on" else {}),
            "scoring": scoring_seconds,
            "controls": time.perf_counter() - clock,
        },
    )
    return Played(record, deal.arrays(answers), deal.files(answers, scores))


def _whole(scores: Scores, cell: Cell) -> Scores:
    """The scores; ValueError where one has another number of targets than the cell: its mean would mislead."""
    for metric, targets in scores.items():
        if len(targets) != cell.targets:
            raise ValueError(f"game {cell.game} scored {len(targets)} targets of {cell.targets} by {metric}")
    return scores


def _counted(answers: Sequence[Answer]) -> list[str]:
    """Each note of the attack once, with the number of targets that have it."""
    notes = [note for one in answers for note in one.notes]
    return [f"{note} ({notes.count(note)} of {len(answers)} targets)" for note in dict.fromkeys(notes)]


def _stopped(answers: Sequence[Answer]) -> dict[str, int]:
    """How many optimisation runs of the whole cell stopped for which reason, by its word."""
    counts = sum((Counter(one.stopped) for one in answers), Counter[str]())
    return dict(sorted(counts.items()))


def _facts(answers: Sequence[Answer]) -> tuple[dict[str, Any], ...]:
    """What the attack says of each answer; nothing where it says nothing of any."""
    facts = tuple(dict(one.facts) for one in answers)
    return facts if any(facts) else ()
