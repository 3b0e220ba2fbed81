"""`run --dry-run`: the cells, why some cannot run, and what the rest should cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import click
import torch

from invbench import play
from invbench.cell import Cell
from invbench.console.wording import cell_namer, count, duration
from invbench.play import Forecast


def print_plan(cells: Sequence[Cell], kept: Callable[[Cell], bool], device: str, workers: int, threads: int) -> None:
    """Each cell and what would become of it, then the sums. A forecast runs two steps of an attack on its victim.

    `kept`: whether a cell is done already and would not be computed.
    """
    torch.set_num_threads(threads)
    name, outcomes, costs = cell_namer(cells), Counter[str](), list[Forecast]()
    known: dict[object, Forecast | str] = {}
    for cell in cells:
        outcome: str
        if (record := play.refused(cell)) is not None:
            outcome, words = record.status, f"{record.status}: {record.reason}"
        elif kept(cell):
            outcome, words = "kept", "done before, kept"
        else:
            alike = (cell.attack, cell.model, cell.batch_size, cell.dataset, cell.protocol, cell.targets)
            if alike not in known:  # a defence or a seed costs nearly nothing
                known[alike] = _forecast(cell, device)
            cost = known[alike]
            if isinstance(cost, Forecast):
                costs.append(cost)
                outcome, words = "to compute", _in_words(cost)
            else:
                outcome, words = "to compute without a forecast", cost
        outcomes[outcome] += 1
        click.echo(f"{cell.id[:8]}  {name(cell.names)}\n          {words}")
        if outcome.startswith("to compute"):
            for what in play.artefacts(cell).values():
                click.echo(f"          first: {what}")
    click.echo(f"{count(len(cells), 'cell')}: " + ", ".join(f"{number} {what}" for what, number in outcomes.items()))
    if costs:
        click.echo(_sum(costs, device, workers))


def _forecast(cell: Cell, device: str) -> Forecast | str:
    """What the cell should cost, or why that is not known."""
    try:
        return play.forecast(cell, device)
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
