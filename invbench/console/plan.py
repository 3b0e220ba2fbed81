"""`run --dry-run`: the cells, why some cannot run, and what the rest should cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import torch

from invbench import play
from invbench.cell import Cell
from invbench.console.wording import duration
from invbench.run import cell_name


def print_plan(cells: Sequence[Cell], device: str, workers: int, threads: int) -> None:
    """One line a cell, then the sums. The forecast runs two steps of each different attack and victim."""
    torch.set_num_threads(threads)
    forecasts: dict[Any, play.Forecast] = {}
    total, peak, unsupported = 0.0, 0.0, 0
    for cell in cells:
        reason = play.why_unsupported(cell)
        if reason is not None:
            unsupported += 1
            click.echo(f"{cell.id[:8]}  {cell_name(cell)}\n          unsupported: {reason}")
            continue
        key = (cell.attack, cell.model, cell.batch_size, cell.dataset, cell.protocol, cell.targets)
        if key not in forecasts:
            forecasts[key] = play.forecast(cell, device)
        cost = forecasts[key]
        total += cost.seconds
        peak = max(peak, cost.memory_mb or 0.0)
        memory = f", {cost.memory_mb:.0f} MB" if cost.memory_mb is not None else ""
        click.echo(f"{cell.id[:8]}  {cell_name(cell)}\n          at most {duration(cost.seconds)}{memory}")
        for what in play.artefacts(cell).values():
            click.echo(f"          first: {what}")
    click.echo(
        f"{len(cells)} cells, {unsupported} of them unsupported; at most {duration(total / workers)} "
        f"with {workers} worker{'s' if workers > 1 else ''} on {device}, {peak:.0f} MB each"
    )
