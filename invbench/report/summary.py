"""`summary.csv`: one row a cell, every metric of the games present with its spread, interval and control."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from invbench.core.printing import one_line
from invbench.report.figures import Figures, figures_of_all
from invbench.sheets import every_sheet
from invbench.store import AXES, Results

COUNTS = ("targets", "images", "diverged")
COST = ("attack_seconds", "attack_evaluations", "cell_seconds", "peak_memory_mb")
WHOLE = ("batch_size", "seed", *COUNTS, "attack_evaluations", "certified")
"""Columns of whole numbers, which may be empty."""
TEXT = ("cell", *(axis for axis in AXES if axis not in WHOLE), "status", "device", "reason")
"""Columns of words. All others are numbers with a point."""
FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
"""What the first sign of a field must not be, as spreadsheets compute what follows; some take the wide ones, too."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
ROWS = 256
"""Rows that are written together: few enough to stay in a processor's cache."""


def rows(results: Results) -> list[dict[str, Any]]:
    """One mapping a computed cell, in plan order, keys in the columns' order; None where a cell has no value."""
    figures = figures_of_all(results.each_record())
    metrics, by_name = _metrics(figures), _by_name()
    columns = _columns(metrics, by_name)
    return [dict(zip(columns, _row(one, metrics, by_name), strict=True)) for one in figures]


def to_csv(figures: Sequence[Figures]) -> str:
    """The table as CSV. Twelve digits of a number: equal results give equal bytes."""
    metrics, by_name = _metrics(figures), _by_name()
    columns = _columns(metrics, by_name)
    values = zip(*(_row(one, metrics, by_name) for one in figures), strict=True) if figures else [()] * len(columns)
    # as text already: pandas would take three times as long over `float_format`
    shown = {
        name: list(map(field, of_all))
        if name in (*TEXT, *WHOLE)
        else [None if v is None or v != v else f"{v:.12g}" for v in of_all]
        for name, of_all in zip(columns, values, strict=True)
    }
    return pd.DataFrame(shown, dtype=object).to_csv(index=False, lineterminator="\n", chunksize=ROWS)


def field(value: object) -> object:
    """A field as CSV holds it: words on one line, and none that a spreadsheet would compute, the door to CSV.

    Words that begin like a formula get an apostrophe before them, unless they are a plain number.
    """
    if not isinstance(value, str):
        return value
    words = one_line(value)
    return f"'{words}" if words[:1] in FORMULA and not NUMBER.fullmatch(words) else words


def _metrics(figures: Sequence[Figures]) -> list[str]:
    """Metrics of the games present in the sheets' order, then what nothing describes, by name."""
    games = {one.record.names["game"] for one in figures}
    known = dict.fromkeys(column.name for s in every_sheet() if s.game in games for column in s.columns)
    return [*known, *sorted(set[str]().union(*(one.scores for one in figures)) - known.keys())]


def _columns(metrics: Sequence[str], by_name: Sequence[tuple[str, str]]) -> list[str]:
    spreads = [f"{metric}_{part}" for metric in metrics for part in ("mean", "std", "ci_low", "ci_high")]
    controls = [f"control_{metric}_mean" for metric in metrics]
    controls += [f"control_{control}_{metric}_mean" for control, metric in by_name]
    return ["cell", *AXES, "status", *COUNTS, *spreads, *controls, *COST, "certified", "device", "reason"]


def _by_name() -> list[tuple[str, str]]:
    """Every `(control, metric)` that has a column of its own, of whatever games are installed."""
    return list(dict.fromkeys(pair for sheet in every_sheet() for pair in sheet.said.controls_by_name))


def _row(one: Figures, metrics: Sequence[str], by_name: Sequence[tuple[str, str]]) -> list[Any]:
    """The values in the order of `_columns`."""
    record, nothing = one.record, dict[str, float]()
    spreads: list[float | None] = []
    for metric in metrics:
        summary = one.scores.get(metric)
        spreads += [None] * 4 if summary is None else [summary.mean, summary.std, summary.ci_low, summary.ci_high]
    attack = record.seconds.get("attack")
    return [
        record.id,
        *(record.names[axis] for axis in AXES),
        record.status,
        *(getattr(record, count) for count in COUNTS),
        *spreads,
        *(control.mean if (control := one.strongest.get(metric)) else None for metric in metrics),
        *(one.controls.get(metric, nothing).get(control) for control, metric in by_name),
        attack / record.targets if attack is not None and record.targets else None,
        one.evaluations,
        record.seconds.get("cell"),
        record.memory_mb,
        record.certified,
        record.device,
        record.reason,
    ]
