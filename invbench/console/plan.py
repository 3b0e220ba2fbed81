"""`run --dry-run`: the cells, why some cannot run, and what the rest should cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import click
import torch

from invbench.cell import Cell
from invbench.console.wording import cell_namer, count, duration, fitted
from invbench.core.execution import multiply_in_float32
from invbench.play.asking import artefacts, with_unplayable
from invbench.play.forecasting import Forecast, forecast

MOST_CELLS, MOST_FATES = 200, 5
"""Cells told one by one; different fates told of a group of cells."""


def print_plan(cells: Sequence[Cell], kept: Callable[[Cell], bool], device: str, workers: int, threads: int) -> None:
    """Each cell and what would become of it, then the sums. A forecast runs two steps of an attack on its victim.

    `kept`: whether a cell is done already and would not be computed. Above `MOST_CELLS`, those of an attack, a
    model and a batch size are told together.
    """
    torch.set_num_threads(threads)
    multiply_in_float32()
    fates = _fates(cells, kept, device)
    told: list[_Fate] = []
    if len(cells) <= MOST_CELLS:
        name = cell_namer(cells)
        for fate in fates:
            told.append(fate)
            click.echo(f"{fate.cell.id[:8]}  {name(fate.cell.names)}\n          {fate.words}")
            for what in fate.first:
                click.echo(f"          first: {what}")
    else:
        for alike, group in groupby(fates, key=lambda fate: _alike(fate.cell)):
            of_group = list(group)
            told += of_group
            _print_group(alike, of_group)
    counts = Counter(fate.outcome for fate in told)
    click.echo(f"{count(len(cells), 'cell')}: " + ", ".join(f"{number} {what}" for what, number in counts.items()))
    costs = [fate.cost for fate in told if fate.cost is not None]
    if costs:
        click.echo(_sum(costs, device, workers))


@dataclass(frozen=True)
class _Fate:
    """What would become of a cell: in a word, in words, what it costs, what is made first."""

    cell: Cell
    outcome: str
    words: str
    cost: Forecast | None = None
    first: tuple[str, ...] = ()


def _fates(cells: Sequence[Cell], kept: Callable[[Cell], bool], device: str) -> Iterator[_Fate]:
    known: dict[object, Forecast | str] = {}
    for cell, record in with_unplayable(cells):
        if record is not None:
            yield _Fate(cell, record.status, f"{record.status}: {record.reason}")
        elif kept(cell):
            yield _Fate(cell, "kept", "done before, kept")
        else:
            alike = (cell.attack, cell.model, cell.batch_size, cell.dataset, cell.defense, cell.protocol, cell.targets)
            if alike not in known:  # a seed costs nothing; under a defence an attack may have more to do
                known[alike] = _forecast(cell, device)
            cost, first = known[alike], tuple(one.what for one in artefacts(cell, device) if not one.made)
            if isinstance(cost, Forecast):
                yield _Fate(cell, "to compute", _in_words(cost), cost, first)
            else:
                yield _Fate(cell, "to compute without a forecast", cost, None, first)


def _alike(cell: Cell) -> str:
    batch = f" b{cell.batch_size}" if cell.batch_size is not None else ""
    return f"{cell.attack.short} {cell.model.short}{batch}"


def _print_group(alike: str, fates: Sequence[_Fate]) -> None:
    """What the cells are, then each different fate with the number of its cells."""
    click.echo(f"{fitted(alike, 60)}: {count(len(fates), 'cell')}")
    words = Counter(fate.words for fate in fates)
    first = Counter(what for fate in fates for what in fate.first)
    shown = [f"{number}  {said}" for said, number in words.most_common(MOST_FATES)]
    shown += [f"{number}  first: {said}" for said, number in first.most_common(MOST_FATES)]
    for line in shown:
        click.echo(f"  {line}")
    hidden = max(0, len(words) - MOST_FATES) + max(0, len(first) - MOST_FATES)
    if hidden:
        click.echo(f"  ... and {hidden} more")


def _forecast(cell: Cell, device: str) -> Forecast | str:
    """What the cell should cost, or why that is not known."""
    try:
        return forecast(cell, device)
    except Exception as error:  # the run will record it as that cell's failure
        return f"no forecast: {type(error).__name__}: {error}"


def _in_words(cost: Forecast) -> str:
    memory = f", {cost.memory_mb:.0f} MB" if cost.memory_mb is not None else ""
    return f"attack: at most {duration(cost.seconds)}{memory}"


def _sum(costs: Sequence[Forecast], device: str, workers: int) -> str:
    """Cells go to whichever worker is free, so the last one to end adds at most the longest cell's length."""
    total, longest = sum(cost.seconds for cost in costs), max(cost.seconds for cost in costs)
    at_most = total / workers + longest * (1 - 1 / workers)
    memory = max(cost.memory_mb or 0.0 for cost in costs)
    return (
        f"attacks: at most {duration(at_most)} with {count(workers, 'worker')} on {device}, {memory:.0f} MB each; "
        "starting workers, what comes first, scores and controls come on top"
    )
