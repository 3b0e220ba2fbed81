"""`summary.csv`: one row a cell, every metric of the games present with its spread, interval and control."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from invbench.columns import COLUMNS, GAME_COLUMNS
from invbench.report.figures import Figures, figures_of
from invbench.store import AXES, Results

PICTURE_CONTROLS = ("grey", "mean", "noise")
COUNTS = ("targets", "images", "diverged")
COST = ("attack_seconds", "attack_evaluations", "cell_seconds", "peak_memory_mb")
WHOLE = ("batch_size", "seed", *COUNTS, "attack_evaluations")
"""Columns of whole numbers, which may be empty."""


def rows(results: Results) -> list[dict[str, Any]]:
    """One mapping a computed cell, in plan order, keys in the columns' order; None where a cell has no value."""
    return rows_of([figures_of(record) for record in results.records()])


def rows_of(figures: Sequence[Figures]) -> list[dict[str, Any]]:
    """The same from numbers computed already."""
    metrics = _metrics(figures)
    return [_row(one, metrics) for one in figures]


def to_csv(figures: Sequence[Figures]) -> str:
    """The table as CSV. Twelve digits of a number: equal results give equal bytes."""
    frame = pd.DataFrame(rows_of(figures), columns=_columns(_metrics(figures)))
    frame = frame.astype(dict.fromkeys(WHOLE, "Int64"))
    return frame.to_csv(index=False, float_format="%.12g", lineterminator="\n")


def _metrics(figures: Sequence[Figures]) -> list[str]:
    """Metrics of the games present, in the columns' order."""
    games = {one.record.names["game"] for one in figures}
    present = {metric for game in games for metric in GAME_COLUMNS.get(game, ())}
    return [metric for metric in COLUMNS if metric in present]


def _columns(metrics: Sequence[str]) -> list[str]:
    spreads = [f"{metric}_{part}" for metric in metrics for part in ("mean", "std", "ci_low", "ci_high")]
    controls = [f"control_{metric}_mean" for metric in metrics]
    by_name = [f"control_{name}_psnr_mean" for name in PICTURE_CONTROLS]
    return ["cell", *AXES, "status", *COUNTS, *spreads, *controls, *by_name, *COST, "device", "reason"]


def _row(one: Figures, metrics: Sequence[str]) -> dict[str, Any]:
    record = one.record
    row: dict[str, Any] = dict.fromkeys(_columns(metrics))
    row |= {"cell": record.id, "status": record.status, "device": record.device, "reason": record.reason}
    row |= {axis: record.names[axis] for axis in AXES} | {count: getattr(record, count) for count in COUNTS}
    for metric, summary in one.scores.items():
        row[f"{metric}_mean"], row[f"{metric}_std"] = summary.mean, summary.std
        row[f"{metric}_ci_low"], row[f"{metric}_ci_high"] = summary.ci_low, summary.ci_high
    row |= {f"control_{metric}_mean": control.mean for metric, control in one.strongest.items()}
    psnr = one.controls.get("psnr", {})
    row |= {f"control_{name}_psnr_mean": psnr.get(name) for name in PICTURE_CONTROLS}
    if "attack" in record.seconds and record.targets:
        row["attack_seconds"] = record.seconds["attack"] / record.targets
    if record.evaluations:
        row["attack_evaluations"] = sum(record.evaluations)
    return row | {"cell_seconds": record.seconds.get("cell"), "peak_memory_mb": record.memory_mb}
