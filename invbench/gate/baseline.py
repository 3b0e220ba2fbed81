"""A frozen result: plain, sorted JSON that later results are held against.

    {"schema": 1, "cells": {ID: {"settings": {...}, "names": {...},
                                 "metrics": {"psnr": {"mean": 31.2, "values": [31.2, null]}}}}}

`values` has one value a target, the mean over its items (null where it has none); `mean` is theirs. A statistic of the
whole cell, as an AUC, has its value as `mean`, and the cell has, once, what such statistics are made of, a list a
target: `"inputs": {"score": [[0.2, 0.9]], "member": [[0, 1]]}`. Only
cells that ended `ok` have numbers to freeze. The others are left out, and `left_out` says which: a check
calls such a cell new once it has numbers, and failed as long as it fails.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from invbench.core.errors import Refusal
from invbench.core.parameters import nearest_name
from invbench.numbers.statistics import mean, target_means
from invbench.numbers.whole_cell import has_inputs, value
from invbench.sheets import columns, sheet_of
from invbench.store import AXES, Record, Results, Scores, StoreError, read_json

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
    return {"schema": SCHEMA, "cells": {id: _freeze_cell(cell) for id, cell in cells.items()}}


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
    """The baseline as its file holds it: sorted, so that a change shows in a diff."""
    return json.dumps(baseline, indent=2, sort_keys=True, allow_nan=False) + "\n"


def read_baseline(path: Path) -> dict[str, Any]:
    """A baseline file, checked; GateError names the file and the place where it is wrong."""
    try:
        plain = read_json(path)
    except StoreError as error:
        raise GateError(str(error)) from error
    parse(plain, str(path))
    return dict(plain)


def parse(plain: Any, where: str) -> dict[str, Measured]:
    """The cells of a baseline by id; GateError begins with `where` and the keys down to the fault."""
    if not isinstance(plain, dict) or "schema" not in plain:
        raise GateError(f"{where}: is not a baseline of invbench")
    if plain["schema"] != SCHEMA:
        raise GateError(f"{where}: has schema {plain['schema']!r}; this invbench reads {SCHEMA}")
    cells = _mapping(plain, "cells", where)
    return {id: _parse_cell(id, _mapping(cells, id, f"{where}: cells"), f"{where}: cells.{id}") for id in cells}


def _freeze_cell(cell: Measured) -> dict[str, Any]:
    metrics: dict[str, Any] = {name: {"mean": cell.mean(name)} for name in cell.metrics}
    for name in metrics.keys() - cell.statistics.keys():
        metrics[name]["values"] = cell.of(name)
    frozen = {"settings": dict(cell.settings), "names": dict(cell.names), "metrics": metrics}
    return frozen | {"inputs": dict(cell.inputs)} if cell.inputs else frozen


def _parse_cell(id: str, cell: dict[str, Any], where: str) -> Measured:
    metrics = _mapping(cell, "metrics", where)
    if not metrics:
        raise GateError(f"{where}.metrics: has no metric")
    inputs = _parse_inputs(_mapping(cell, "inputs", where), f"{where}.inputs") if "inputs" in cell else {}
    values, statistics = dict[str, list[float | None]](), dict[str, float]()
    for name in metrics:
        metric, place = _mapping(metrics, name, f"{where}.metrics"), f"{where}.metrics.{name}"
        if "values" in metric or not inputs:
            values[name] = _parse_values(metric, place)
        else:
            statistics[name] = _parse_statistic(name, metric, inputs, place)
    names = _mapping(cell, "names", where) if "names" in cell else {}
    return Measured(id, names, _mapping(cell, "settings", where), values, statistics, inputs)


def _parse_inputs(plain: dict[str, Any], where: str) -> dict[str, list[list[float | None]]]:
    for name, targets in plain.items():
        lists = isinstance(targets, list) and all(isinstance(target, list) for target in targets)
        if not lists or not all(v is None or _is_number(v) for target in targets for v in target):
            raise GateError(f"{where}.{name}: must be a list a target, of finite numbers or null")
    return plain


def _parse_statistic(name: str, metric: dict[str, Any], inputs: Scores, where: str) -> float:
    """The value of a whole cell, which is what its inputs give wherever the metric is known here."""
    if not _is_number(metric.get("mean")):
        raise GateError(f"{where}.mean: must be a finite number")
    said, column = float(metric["mean"]), columns().get(name)
    if column is not None and column.statistic is not None and has_inputs(column.statistic, inputs):
        found = value(column.statistic, inputs).value
        if found is None or not math.isclose(said, found, rel_tol=1e-6, abs_tol=1e-6):
            raise GateError(
                f"{where}.mean: is {said:g}, but its inputs give {'none' if found is None else f'{found:g}'}"
            )
    return said


def _parse_values(metric: dict[str, Any], where: str) -> list[float | None]:
    values = metric.get("values")
    if not isinstance(values, list) or not values or not all(v is None or _is_number(v) for v in values):
        raise GateError(f"{where}.values: must be a list of finite numbers or null, one a target")
    middle = mean(values)
    if middle is None:
        raise GateError(f"{where}.values: has no number in it")
    if not _is_number(metric.get("mean")):
        raise GateError(f"{where}.mean: must be a finite number")
    if not math.isclose(metric["mean"], middle, rel_tol=1e-6, abs_tol=1e-6):
        raise GateError(f"{where}.mean: is {metric['mean']:g}, but the mean of its values is {middle:g}")
    return values


def nearest(name: str) -> str:
    """`; nearest: 'psnr'` for a misspelt metric, or nothing."""
    close = nearest_name(name, columns())
    return f"; nearest: {close!r}" if close else ""


def _mapping(parent: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    value = parent.get(key)
    if not isinstance(value, dict):
        raise GateError(f"{where}.{key}: must be a mapping" if key in parent else f"{where}: has no {key!r}")
    return value


def _is_number(value: Any) -> bool:
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < 2**63)
