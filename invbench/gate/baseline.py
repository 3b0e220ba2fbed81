"""A frozen result: plain, sorted JSON that later results are held against.

    {"schema": 1, "cells": {ID: {"settings": {...}, "names": {...},
                                 "metrics": {"psnr": {"mean": 31.2, "values": [31.2, null]}}}},
     "invbench": ["0.1.0, revision 0123abc..."]}

`invbench`: which versions and revisions computed the cells, where their records say it.
`values` has one value a target, the mean over its items (null where it has none); `mean` is theirs. A statistic of the
whole cell, as an AUC, has its value as `mean`, and the cell has, once, what such statistics are made of, a list a
target: `"inputs": {"score": [[0.2, 0.9]], "member": [[0, 1]]}`. Only
cells that ended `ok` have numbers to freeze. The others are left out, and `left_out` says which: a check
calls such a cell new once it has numbers, and failed as long as it fails.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from invbench.core.errors import Refusal
from invbench.numbers.statistics import mean, target_means
from invbench.numbers.whole_cell import has_inputs, value
from invbench.sheets import columns, sheet_of
from invbench.store import AXES, BASELINE, Record, Results, Scores, refuse_too_large

SCHEMA = 1


class GateError(Refusal):
    """A baseline or a tolerance that cannot be used; the message says where and why."""


@dataclass(frozen=True)
class Measured:
    """One cell's numbers. `values`: metric -> one value a target, None where a target has none.

    `statistics`: metrics that are statistics of the whole cell, with a value; `inputs`: what they are made of.
    """

    id: str
    names: Mapping[str, Any]
    settings: Mapping[str, Any]
    values: Mapping[str, list[float | None]]
    statistics: Mapping[str, float] = field(default_factory=dict)
    inputs: Scores = field(default_factory=dict)

    def of(self, metric: str) -> list[float | None]:
        """The metric's values; nothing where all are empty."""
        values = self.values.get(metric, [])
        return values if mean(values) is not None else []

    def mean(self, metric: str) -> float | None:
        """The metric's mean over targets, or its value of the whole cell; None where it has none."""
        return self.statistics[metric] if metric in self.statistics else mean(self.of(metric))

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that have a value: in the order of tables, then what nothing describes."""
        there = {name for name in self.values if self.of(name)} | self.statistics.keys()
        return tuple(name for name in (*columns(), *sorted(there - columns().keys())) if name in there)


def measured(record: Record) -> Measured:
    """The numbers of a record."""
    sheet = sheet_of(record.names["game"])
    values = {metric: target_means(record.scores[metric]) for metric in sheet.means_in(record.scores)}
    statistics = {
        column.name: whole
        for column in sheet.statistics
        if column.statistic
        and has_inputs(column.statistic, record.scores)
        and (whole := value(column.statistic, record.scores).value) is not None
    }
    inputs = {name: record.scores[name] for name in record.scores if name in sheet.inputs}
    return Measured(record.id, record.names, record.settings, values, statistics, inputs)


def measured_cells(results: Results) -> dict[str, Measured]:
    """By id, every cell that ended `ok` and in which any metric has a value."""
    cells = [measured(record) for record in results.records() if record.status == "ok"]
    return {cell.id: cell for cell in cells if cell.metrics}


def freeze(results: Results) -> dict[str, Any]:
    """The baseline of a result; GateError where no cell of it has numbers."""
    cells = measured_cells(results)
    if not cells:
        raise GateError(f"{results.path}: no cell ended ok with numbers, so there is nothing to freeze")
    frozen = {"schema": SCHEMA, "cells": {id: _freeze_cell(cell) for id, cell in cells.items()}}
    return frozen | ({"invbench": found} if (found := computed_by(results)) else {})


def computed_by(results: Results) -> list[str]:
    """Which versions and revisions of invbench computed the cells with numbers, each once, sorted."""
    said = (record.invbench for record in results.each_record() if record.status == "ok" and record.invbench)
    return sorted({", revision ".join(filter(None, (one.get("version"), one.get("revision")))) for one in said})


def other_code(baseline: Mapping[str, Any], results: Results) -> str | None:
    """That other code computed the baseline than the result, in words; None where it is the same or not known."""
    before, now = baseline.get("invbench", []), computed_by(results)
    if not before or not now or before == now:
        return None
    return f"computed by other code: the baseline by invbench {'; '.join(before)}, the result by {'; '.join(now)}"


def left_out(results: Results) -> list[str]:
    """What `freeze` has no numbers for, one line a cell: failed, timed out, unsupported, empty, not yet run."""
    frozen, records = measured_cells(results), {record.id: record for record in results.records()}
    lines = []
    for id in results.plan():
        if id not in records:
            lines.append(f"{id}: planned, not yet run")
        elif id not in frozen:
            record = records[id]
            lines.append(f"{id} {label(record.names)}: {record.status}: {record.reason or 'no metric has a value'}")
    return lines


def label(names: Mapping[str, Any]) -> str:
    """A cell's axes on one line; those that its game does not use are left out."""
    given = {"batch_size": "batch", "seed": "seed"}
    return ", ".join(f"{given.get(a, '')} {names[a]}".strip() for a in AXES if names.get(a) is not None)


def to_text(baseline: Mapping[str, Any]) -> str:
    """The baseline as its file holds it: sorted, so that a change shows in a diff.

    StoreError where it is more than a check would read.
    """
    text = json.dumps(baseline, indent=2, sort_keys=True, allow_nan=False) + "\n"
    refuse_too_large(text.encode(), "the baseline", BASELINE)
    return text


def _freeze_cell(cell: Measured) -> dict[str, Any]:
    metrics: dict[str, Any] = {name: {"mean": cell.mean(name)} for name in cell.metrics}
    for name in metrics.keys() - cell.statistics.keys():
        metrics[name]["values"] = cell.of(name)
    frozen = {"settings": dict(cell.settings), "names": dict(cell.names), "metrics": metrics}
    return frozen | {"inputs": dict(cell.inputs)} if cell.inputs else frozen
