"""Short words for numbers and cells, the same in every table of the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from invbench.columns import COLUMNS, GAME_COLUMNS
from invbench.statistics import summarise
from invbench.store import Record


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def cell_words(record: Record) -> str:
    """A cell in a line: `dlg lenet b1 none`."""
    names = record.names
    batch = f"b{names['batch_size']}" if names["batch_size"] is not None else None
    words: Iterable[str | None] = (names["attack"], names["model"], batch, names["defense"])
    return " ".join(word for word in words if word is not None)


def headline(record: Record) -> str:
    """The first metric of the cell's game and its strongest control: `psnr 41.23 dB (control 14.80)`."""
    metrics = [metric for metric in GAME_COLUMNS.get(record.names["game"], ()) if metric in record.scores]
    if not metrics:
        return ""
    column = COLUMNS[metrics[0]]
    measured = summarise(record.scores[column.name])
    if measured is None:
        return ""
    summaries = [summarise(c[column.name]) for c in record.controls.values() if column.name in c]
    means = [summary.mean for summary in summaries if summary is not None]
    unit = f" {column.unit}" if column.unit else ""
    control = ""
    if means:
        strongest = max(means) if column.better == "higher" else min(means)
        control = f" (control {column.show(strongest)})"
    return f"{column.name} {column.show(measured.mean)}{unit}{control}"
