"""One cell, from its settings to its record: game, attack, game.

    game: victim + data -> observations | attack -> guesses | game: scores

The only place that knows both a game and an attack. Functions that a worker calls by name return plain
values that can be sent between processes.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import invbench
from invbench import registry
from invbench.attacks import answer_all
from invbench.cell import Cell, Choice
from invbench.core import engine
from invbench.core.artefacts import Artefact, fetch
from invbench.core.memory import is_out_of_memory, peak_memory
from invbench.observation import Guess
from invbench.sheets import sheet_of
from invbench.store import Record

_TRIAL_TARGETS = 16
"""Targets of a forecast: as many as one chunk of lanes holds, for lanes share the cost of a step."""


@dataclass(frozen=True)
class Played:
    """What one cell gives to the results folder."""

    record: Record
    arrays: dict[str, Any] | None = None
    grid: bytes | None = None


@dataclass(frozen=True)
class Forecast:
    """What a cell should take at most: seconds of one worker, and the peak in MB (None where it is unknown)."""

    seconds: float
    memory_mb: float | None


def why_unsupported(cell: Cell) -> str | None:
    """Why the cell cannot be played, by its game, then by its attack; None where it can."""
    if cell.attack.part.facts["game"] != cell.game:
        return f"{cell.attack.name} is no attack of game {cell.game}"
    game, attack = _game(cell), cell.attack.build()
    reason: str | None = game.unsupported(cell)
    if reason is None and hasattr(attack, "unsupported"):
        reason = attack.unsupported(game.public(cell))
    return reason


def refused(cell: Cell) -> Record | None:
    """The record of a cell that cannot be played: unsupported, or failed where even that could not be told."""
    try:
        reason = why_unsupported(cell)
    except Exception as error:  # a part's own mistake costs its cell, not the run
        return unplayed(cell, "failed", _why_failed(error, cell))
    return None if reason is None else unplayed(cell, "unsupported", reason)


def refusals(cells: Iterable[Cell]) -> Iterator[tuple[Cell, Record | None]]:
    """Each cell with its record if it is `refused`. Nobody's answer depends on the seed: it is asked for once."""
    known: dict[Cell, Record | None] = {}
    for cell in cells:
        alike = replace(cell, seed=0)
        if alike not in known:
            known[alike] = refused(cell)
        record = known[alike]
        yield cell, record and replace(record, id=cell.id, names=cell.names, settings=cell.settings)


def requested_controls(cell: Cell) -> frozenset[str]:
    """Those of the matrix's controls that the cell's game has."""
    return frozenset(cell.controls) & frozenset(sheet_of(cell.game).said.controls)


def artefacts(cell: Cell) -> dict[str, str]:
    """Name and description of everything not yet made that the cell needs made first."""
    return {artefact.name: artefact.what for artefact in _artefacts(cell, "cpu") if not artefact.made}


def needs(cell: Cell) -> frozenset[str]:
    """Names of all artefacts that the cell reads, made or not."""
    return frozenset(artefact.name for artefact in _artefacts(cell, "cpu"))


def make_artefact(name: str, cell: Cell, device: str) -> None:
    """Make the one of the cell's artefacts that has this name."""
    fetch(next(artefact for artefact in _artefacts(cell, device) if artefact.name == name))


def play(cell: Cell, device: str) -> Played:
    """Play the cell. Whatever goes wrong inside is its record's `failed`, with the reason and the place."""
    started = time.perf_counter()
    with peak_memory(torch.device(device)) as peak:
        try:
            played = _play(cell, device)
        except Exception as error:  # an exception is a failed cell, never a result
            played = Played(unplayed(cell, "failed", _why_failed(error, cell)))
    seconds = {**played.record.seconds, "cell": time.perf_counter() - started}
    record = replace(played.record, seconds=seconds, memory_mb=peak.mb, device=device, torch=torch.__version__)
    return replace(played, record=record)


def unplayed(cell: Cell, status: str, reason: str) -> Record:
    """The record of a cell that has no scores: failed, timeout or unsupported, and why."""
    return Record(
        id=cell.id,
        status=status,  # type: ignore[arg-type]
        reason=reason,
        names=cell.names,
        settings=cell.settings,
        targets=cell.targets,
        images=cell.targets * (cell.batch_size or 1),
        dataset=_dataset(cell),
    )


def with_seconds(record: Record, seconds: float, device: str) -> Record:
    """The record of a cell that did not end by itself, with how long it ran and where."""
    return replace(record, seconds={"cell": seconds}, device=device, torch=torch.__version__)


def forecast(cell: Cell, device: str) -> Forecast:
    """An upper estimate, from a short version of the attack run here and now on the first targets.

    Nothing is trained for it: an untrained victim of the same architecture costs the same.
    """
    few = replace(cell, targets=min(cell.targets, _TRIAL_TARGETS), model=_untrained(cell.model))
    attack = cell.attack.build()
    with peak_memory(torch.device(device)) as peak:
        seen = _game(cell).stage(few, torch.device(device)).observations
        parts = [part for _, part in attack.parts(seen[0].public)] if hasattr(attack, "parts") else [attack]
        seconds = sum(_trial_seconds(part, seen) for part in parts)
    return Forecast(seconds * cell.targets, peak.mb)


def _trial_seconds(attack: Any, observations: Sequence[Any]) -> float:
    """Seconds of the whole attack a target, from its trial. One target is enough where they share no work."""
    trial, factor = attack.trial() if hasattr(attack, "trial") else (attack, 1.0)
    few = observations if hasattr(attack, "attack_all") else observations[:1]
    answer_all(trial, few)  # the first call pays for loading kernels
    started = time.perf_counter()
    answer_all(trial, few)
    seconds: float = (time.perf_counter() - started) * factor / len(few)
    return seconds


def _play(cell: Cell, device: str) -> Played:
    game, attack = _game(cell), cell.attack.build()
    if cell.dataset.build().load().content != cell.data_hash:
        raise ValueError(f"data set {cell.dataset.short} changed while the matrix ran")
    round_ = game.stage(cell, torch.device(device))
    clock = time.perf_counter()
    with engine.using(cell.compile) as steps:
        guesses = answer_all(attack, round_.observations)
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    attack_seconds = time.perf_counter() - clock - steps.compile_seconds
    if len(guesses) != cell.targets:
        raise ValueError(f"{cell.attack.name} gave {len(guesses)} guesses for {cell.targets} observations")
    clock = time.perf_counter()
    scores = round_.score(guesses)
    scoring_seconds = time.perf_counter() - clock
    clock = time.perf_counter()
    controls = round_.controls()
    if "noise" in requested_controls(cell):
        controls["noise"] = round_.score(_noise_guesses(cell, device))
    record = replace(
        unplayed(cell, "ok", ""),
        reason=None,
        scores=scores,
        controls=controls,
        diverged=sum(getattr(guess, "diverged", False) for guess in guesses),
        evaluations=tuple(guess.evaluations for guess in guesses),
        objectives=tuple(getattr(guess, "objective", None) for guess in guesses),
        notes=(*round_.notes, *_counted(guesses)),
        facts=_facts(guesses),
        seconds={
            "attack": attack_seconds,
            **({"compile": steps.compile_seconds} if cell.compile == "on" else {}),
            "scoring": scoring_seconds,
            "controls": time.perf_counter() - clock,
        },
    )
    grid = round_.grid(guesses, scores) if hasattr(round_, "grid") else None
    return Played(record, round_.arrays(guesses), grid)


def _untrained(model: Choice) -> Choice:
    return replace(model, settings=tuple((key, False if key == "trained" else v) for key, v in model.settings))


def _game(cell: Cell) -> Any:
    return registry.load("game", cell.game).build({})


def _artefacts(cell: Cell, device: str) -> list[Artefact]:
    found = list(_game(cell).artefacts(cell))
    if "noise" in requested_controls(cell):
        found.append(_noise_artefact(cell, device))
    return found


def _noise_artefact(cell: Cell, device: str) -> Artefact:
    """The attack's guesses on noise. They do not depend on the defence, so cells that differ in it share them."""
    bare = replace(cell, defense=())
    key = {"noise": {**bare.settings, "defense": None}, "code": _code(cell.attack.part.cls)}

    def make() -> dict[str, Tensor]:
        round_ = _game(bare).stage(bare, torch.device(device))
        with engine.using(bare.compile):
            guesses = answer_all(bare.attack.build(), round_.noise())
        images = {f"images.{k}": guess.images for k, guess in enumerate(guesses)}
        labels = {f"labels.{k}": guess.labels for k, guess in enumerate(guesses) if guess.labels is not None}
        return {**images, **labels}

    return Artefact(f"{cell.attack.short} on noise, {cell.model.short}, batch {cell.batch_size}", key, make)


@cache
def _code(attack: type) -> str:
    """The hash of the attack's file, as loaded: one that is edited guesses anew."""
    return hashlib.sha256(Path(inspect.getfile(attack)).read_bytes()).hexdigest()


def _noise_guesses(cell: Cell, device: str) -> list[Guess]:
    stored = fetch(_noise_artefact(cell, device))
    return [Guess(images=stored[f"images.{k}"], labels=stored.get(f"labels.{k}")) for k in range(cell.targets)]


def _dataset(cell: Cell) -> dict[str, Any]:
    path = dict(cell.dataset.settings).get("path")
    return {"name": cell.dataset.short, "hash": cell.data_hash, "path": path.name if path else None}


def _counted(guesses: Sequence[Any]) -> list[str]:
    """Each note of the attack once, with the number of targets that have it."""
    notes = [note for guess in guesses for note in guess.notes]
    return [f"{note} ({notes.count(note)} of {len(guesses)} targets)" for note in dict.fromkeys(notes)]


def _facts(guesses: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    """What the attack says of each answer; nothing where it says nothing of any."""
    facts = tuple(dict(getattr(guess, "facts", {})) for guess in guesses)
    return facts if any(facts) else ()


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _why_failed(error: Exception, cell: Cell) -> str:
    """`TypeError: what was wrong (file.py:12)`: the innermost place in invbench or in the file of one of the parts."""
    text = _in_one_line(error)
    if is_out_of_memory(error):
        return f"out of memory: {text}" if text else "out of memory"
    parts = (cell.attack, cell.model, cell.dataset, *(cell.defense or ()))
    own = (f"{Path(invbench.__file__).parent}{os.sep}", *(inspect.getfile(choice.part.cls) for choice in parts))
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(own)] or frames
    place = f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""
    return f"{type(error).__name__}: {text}{place}"
