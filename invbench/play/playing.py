"""A cell played, as its record: the one function that a worker calls for it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from invbench.cell import Cell
from invbench.core.errors import Interrupted
from invbench.core.execution import Settings, precision
from invbench.core.memory import counted_memory
from invbench.core.tidy import tidied
from invbench.data import Dataset
from invbench.games import Scores
from invbench.observation import Answer
from invbench.play.answering import answer
from invbench.play.asking import attack_of, requested_controls
from invbench.play.dealing import dealt
from invbench.play.outcomes import Played, failed_by, unplayed
from invbench.play.plain import scores_of, texts, told, writable
from invbench.play.preparing import prepared
from invbench.play.reruns import reran
from invbench.store.beside import always_beside


def play(cell: Cell, device: str) -> Played:
    """Play the cell. Whatever goes wrong inside is its record's `failed`, with the reason, the place and a traceback.

    What is returned can be written: it has been read back as a record.
    """
    started = time.perf_counter()
    with counted_memory(torch.device(device)) as peak:
        try:
            played = _play(cell, device)
        except Interrupted:
            raise
        except BaseException as error:  # SystemExit, too: nothing that a part raises is a result
            played = failed_by(error, cell)
    seconds = {**played.record.seconds, "cell": time.perf_counter() - started}
    record = replace(played.record, seconds=seconds, memory_mb=peak.mb, device=device, torch=torch.__version__)
    record = replace(record, precision=precision())
    return replace(played, record=record)


def _play(cell: Cell, device: str) -> Played:
    if cell.dataset.build(Dataset).load().content != cell.data_hash:
        raise ValueError(f"data set {cell.dataset.short} changed while the matrix ran")
    if cell.model.changed:
        raise ValueError(f"the files of model {cell.model.short} changed while the matrix ran")
    deal = dealt(cell, torch.device(device))
    tidied(f"game {cell.game}, its model or a defence")
    if len(deal.observations) != cell.targets:
        raise ValueError(f"game {cell.game} dealt {len(deal.observations)} observations for {cell.targets} targets")
    given = answer(attack_of(cell), prepared(cell, deal.observations), Settings(compile=cell.compile))
    answers, said = given.answers, told(cell.attack.name, deal, given.answers)
    clock = time.perf_counter()
    scores = _whole(deal.score(answers), cell)
    scoring_seconds = time.perf_counter() - clock
    clock = time.perf_counter()
    reruns = reran(cell, device)
    every = {**deal.controls(), **{name: one.scores for name, one in reruns.items()}}
    controls = {name: _whole(of, cell) for name, of in every.items()}
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
        diverged=sum(one.diverged for one in said),
        evaluations=tuple(one.evaluations for one in said),
        objectives=tuple(one.objective for one in said),
        notes=(
            *texts(deal.notes, f"game {cell.game}: notes"),
            *map(always_beside, cell.attack.part.facts["controls"]),
            *_counted(said),
        ),
        facts=_facts(said),
        stopped=_stopped(said),
        seconds={
            "attack": given.seconds,
            **({"compile": given.compile_seconds} if cell.compile == "on" else {}),
            "scoring": scoring_seconds,
            "controls": time.perf_counter() - clock,
        },
    )
    drawing = deal.beside({name: one.kept for name, one in reruns.items()})
    arrays, files = deal.arrays(answers), drawing.files(answers, scores, controls)
    return writable(f"game {cell.game}", Played(record, arrays, files))


def _whole(scores: Scores, cell: Cell) -> Scores:
    """The scores; ValueError where one has another number of targets than the cell: its mean would mislead."""
    plain = scores_of(scores, f"game {cell.game}")
    for metric, targets in plain.items():
        if len(targets) != cell.targets:
            raise ValueError(f"game {cell.game} scored {len(targets)} targets of {cell.targets} by {metric}")
    return plain


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
