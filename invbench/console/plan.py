"""`run --dry-run`: the cells, why some cannot run, and what the rest should cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from invbench.cell import Cell
from invbench.console.saying import say
from invbench.console.wording import cell_namer, cells_of_games, count, duration, folded
from invbench.core.execution import multiply_in_float32
from invbench.core.theirs import PartRaised, theirs
from invbench.federation import Federation
from invbench.play.asking import needed, with_unplayable
from invbench.play.federating import Trial, forecast_of, untrainable, what_of
from invbench.play.forecasting import Forecast, forecast
from invbench.play.outcomes import Played
from invbench.runs.trainings import trainings_left
from invbench.store import Results

MOST_CELLS = 200
"""Cells told one by one; above that, a line tells a group of them."""
GROUP = ("attack", "model", "batch_size")
"""What cells that are told in one line agree in."""
WIDTH, INDENT = 80, " " * 10
"""Columns of a line about a cell, unless a word of it has more; the indent of what follows its id."""


def print_plan(
    cells: Sequence[Cell], kept: Callable[[Cell], bool], device: str, workers: int, threads: int
) -> Counter[str]:
    """Each cell and what would become of it, then the sums, which are returned.

    A forecast runs two steps of an attack on its victim.

    `kept`: whether a cell is done already and would not be computed. Above `MOST_CELLS`, those of an attack, a
    model and a batch size are told in one line.
    """
    torch.set_num_threads(threads)
    multiply_in_float32()
    fates = _fates(cells, kept, device)
    told: list[_Fate] = []
    name = cell_namer(cells)
    if len(cells) <= MOST_CELLS:
        for fate in fates:
            told.append(fate)
            say(f"{fate.cell.id[:8]}  {name(fate.cell.names, WIDTH - len(INDENT))}")
            say(folded(f"{INDENT}{fate.words}", WIDTH, INDENT))
            for what, times in Counter(map(_first_in_words, fate.first)).items():
                of_it = f"{times} x {what}" if times > 1 else what
                say(folded(f"{INDENT}first: {of_it}", WIDTH, f"{INDENT}  "))
    else:
        for alike, group in groupby(fates, key=lambda fate: {axis: fate.cell.names[axis] for axis in GROUP}):
            of_group = list(group)
            told += of_group
            say(f"{name(alike, 60)}: {_group_in_words(of_group)}")
    counts = Counter(fate.outcome for fate in told)
    sums = ", ".join(f"{number} {what}" for what, number in counts.items())
    say(folded(f"{cells_of_games(cells)}: {sums}", WIDTH))
    costs = [fate.cost for fate in told if fate.cost is not None]
    if costs:
        say(folded(_sum(costs, device, workers), WIDTH))
    if first := {one.name: one for fate in told for one in fate.first}:
        say(folded(_sum_of_first(list(first.values())), WIDTH))
    if slow := sum(fate.slow for fate in told):
        say(f"warning: {count(slow, 'cell')} may take longer than the time limit; a higher `timeout`?", err=True)
    return counts


def only_failures(outcomes: Iterable[str]) -> bool:
    """Whether some cells would fail and no other can be played: such a plan is as wrong as such a run."""
    return {"failed"} <= set(outcomes) <= {"failed", "unsupported"}


def print_trainings(trainings: Sequence[Federation], results: Results, fresh: bool, device: str, workers: int) -> None:
    """What becomes of the trainings that say what defences cost, a line each up to `MOST_CELLS`, then the sums."""
    if not trainings:
        return
    left = {training.id for training in trainings_left(trainings, results, fresh)}
    outcomes, seconds = Counter[str](), 0.0
    known: dict[str, Trial] = {}
    for training in trainings:
        outcome, words = "kept", "done before, kept"
        if training.id in left and (record := untrainable(training)) is not None:
            outcome, words = record.status, f"{record.status}: {record.reason}"
        elif training.id in left:
            alike = json.dumps({**training.settings, "seed": 0}, sort_keys=True)
            if alike not in known:
                known[alike] = forecast_of(training, device)
            cost = known[alike]
            seconds += cost.seconds or 0.0
            outcome, words = "to make", f"about {duration(cost.seconds)}" if cost.seconds else cost.reason
        outcomes[outcome] += 1
        if len(trainings) <= MOST_CELLS:
            say(f"{training.id[:8]}  {what_of(training)}: {words}")
    counts = ", ".join(f"{number} {what}" for what, number in outcomes.items())
    say(f"{count(len(trainings), 'training')} for utility: {counts}")
    if seconds:
        say(f"utility: about {duration(seconds / workers)} with {count(workers, 'worker')} on {device}")


@dataclass(frozen=True)
class _First:
    """Something that is made before a cell: by name and in words, and its seconds where they are known."""

    name: str
    what: str
    seconds: float | None


@dataclass(frozen=True)
class _Fate:
    """What would become of a cell: in a word, in words, what it costs, what is made first."""

    cell: Cell
    outcome: str
    words: str
    cost: Forecast | None = None
    first: tuple[_First, ...] = ()

    @property
    def slow(self) -> bool:
        """Whether the attack alone may take longer than its cell is given."""
        return self.cost is not None and self.cost.seconds > self.cell.timeout


def _fates(cells: Sequence[Cell], kept: Callable[[Cell], bool], device: str) -> Iterator[_Fate]:
    known: dict[object, Forecast | str] = {}
    for cell, played in with_unplayable(cells):
        if played is not None:
            yield _Fate(cell, played.record.status, f"{played.record.status}: {played.record.reason}")
        elif kept(cell):
            yield _Fate(cell, "kept", "done before, kept")
        else:
            alike = (cell.attack, cell.model, cell.batch_size, cell.dataset, cell.defense, cell.protocol, cell.targets)
            if alike not in known:  # a seed costs nothing; under a defence an attack may have more to do
                known[alike] = _forecast(cell, device)
            needs = needed(cell, device)
            if isinstance(needs, Played):
                yield _Fate(cell, needs.record.status, f"{needs.record.status}: {needs.record.reason}")
                continue
            cost = known[alike]
            times = cost.first if isinstance(cost, Forecast) else {}
            first = tuple(_First(one.name, one.what, times.get(one.what)) for one in needs if not one.made)
            if isinstance(cost, Forecast):
                yield _Fate(cell, "to compute", _in_words(cost, cell.timeout), cost, first)
            else:
                yield _Fate(cell, "to compute without a forecast", cost, None, first)


def _group_in_words(fates: Sequence[_Fate]) -> str:
    """How many cells come to what, on one line: the longest of the forecasts, the reason that most have."""
    parts = []
    for outcome, number in Counter(fate.outcome for fate in fates).items():
        of_outcome = [fate for fate in fates if fate.outcome == outcome]
        costs = [fate.cost for fate in of_outcome if fate.cost is not None]
        said, *others = Counter(fate.words for fate in of_outcome).most_common()
        if costs:
            longest = max(of_outcome, key=lambda fate: fate.cost.seconds if fate.cost else 0.0)
            parts.append(f"{number} {outcome} ({longest.words})")
        elif outcome == "kept":
            parts.append(f"{number} {outcome}")
        else:
            more = f", and {count(len(others), 'other reason')}" if others else ""
            parts.append(f"{number} {outcome} ({said[0].removeprefix(f'{outcome}: ')}{more})")
    first = sorted({_first_in_words(one) for fate in fates for one in fate.first})
    if first:
        parts[-1] += f"; first: {first[0]}" + (f" and {len(first) - 1} more" if len(first) > 1 else "")
    return f"{count(len(fates), 'cell')}: {', '.join(parts)}"


def _forecast(cell: Cell, device: str) -> Forecast | str:
    """What the cell should cost, or why that is not known."""
    try:
        with theirs():
            return forecast(cell, device)
    except PartRaised as raised:  # the run will record it as that cell's failure
        return f"no forecast: {raised}"


def _first_in_words(one: _First) -> str:
    return one.what if one.seconds is None else f"{one.what}: at most {duration(one.seconds)}"


def _sum_of_first(every: Sequence[_First]) -> str:
    """What all that comes first takes, each thing once, as far as it is forecast: victims are not."""
    timed = [one.seconds for one in every if one.seconds is not None]
    words = [f"first: {count(len(every), 'thing')} that cells share"]
    if timed:
        words.append(f"{len(timed)} of them at most {duration(sum(timed))} of one worker")
    if len(timed) < len(every):
        words.append(f"{len(every) - len(timed)} without a forecast, such as trained victims")
    return ", ".join(words)


def _in_words(cost: Forecast, timeout: float) -> str:
    slow = f"; warning: its time limit is {duration(timeout)}" if cost.seconds > timeout else ""
    return f"attack: at most {duration(cost.seconds)}{_memory([cost])}{slow}"


def _sum(costs: Sequence[Forecast], device: str, workers: int) -> str:
    """Cells go to whichever worker is free, so the last one to end adds at most the longest cell's length."""
    total, longest = sum(cost.seconds for cost in costs), max(cost.seconds for cost in costs)
    at_most = total / workers + longest * (1 - 1 / workers)
    return (
        f"attacks: at most {duration(at_most)} with {count(workers, 'worker')} on {device}{_memory(costs, ' each')}; "
        "starting workers, what comes first, scores and controls come on top"
    )


def _memory(costs: Sequence[Forecast], each: str = "") -> str:
    """`, 120 MB`: the most that one of these takes; nothing where none was seen to take a megabyte of its own."""
    most = max(cost.memory_mb or 0.0 for cost in costs)
    return f", {most:.0f} MB{each}" if most >= 1 else ""
