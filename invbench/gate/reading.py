"""A baseline's file, read and checked down to each number."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from invbench.core.parameters import nearest_name
from invbench.gate.baseline import SCHEMA, GateError, Measured
from invbench.numbers.statistics import mean
from invbench.numbers.whole_cell import has_inputs, value
from invbench.sheets import columns
from invbench.store import AXES, BASELINE, CELL_ID, LARGEST, NAME, Scores, StoreError, names_fault, read_json

NUMBERS = f"numbers within {LARGEST:g} or null"


def read_baseline(path: Path) -> dict[str, Any]:
    """A baseline file, checked; GateError names the file and the place where it is wrong."""
    try:
        plain = read_json(path, BASELINE)
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
    if not cells:
        raise GateError(f"{where}: has no cells, so nothing can be held against it")
    said = plain.get("invbench", [])
    if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
        raise GateError(f"{where}.invbench: must be a list of texts")
    wrong = next((id for id in cells if not CELL_ID.fullmatch(id)), None)
    if wrong is not None:
        raise GateError(f"{where}: cells: {wrong!r} is not the id of a cell (16 hexadecimal digits)")
    return {id: _parse_cell(id, _mapping(cells, id, f"{where}: cells"), f"{where}: cells.{id}") for id in cells}


def _parse_cell(id: str, cell: dict[str, Any], where: str) -> Measured:
    metrics = _mapping(cell, "metrics", where)
    if not metrics:
        raise GateError(f"{where}.metrics: has no metric")
    inputs = _parse_inputs(_mapping(cell, "inputs", where), f"{where}.inputs") if "inputs" in cell else {}
    for name in (*metrics, *inputs):
        if not NAME.fullmatch(name):
            raise GateError(f"{where}: {name!r} is no name of a metric")
    values, statistics = dict[str, list[float | None]](), dict[str, float]()
    for name in metrics:
        metric, place = _mapping(metrics, name, f"{where}.metrics"), f"{where}.metrics.{name}"
        if "values" in metric or not inputs:
            values[name] = _parse_values(metric, place)
        else:
            statistics[name] = _parse_statistic(name, metric, inputs, place)
    names = _mapping(cell, "names", where) if "names" in cell else {}
    if wrong := names_fault(names):
        raise GateError(f"{where}.names: must be {wrong}")
    settings = _mapping(cell, "settings", where)
    return Measured(id, dict.fromkeys(AXES) | names, settings, values, statistics, inputs)


def _parse_inputs(plain: dict[str, Any], where: str) -> dict[str, list[list[float | None]]]:
    for name, targets in plain.items():
        lists = isinstance(targets, list) and all(isinstance(target, list) for target in targets)
        if not lists or not all(v is None or _is_number(v) for target in targets for v in target):
            raise GateError(f"{where}.{name}: must be a list a target, of {NUMBERS}")
    return plain


def _parse_statistic(name: str, metric: dict[str, Any], inputs: Scores, where: str) -> float:
    """The value of a whole cell, which is what its inputs give wherever the metric is known here."""
    if not _is_number(metric.get("mean")):
        raise GateError(f"{where}.mean: must be a number within {LARGEST:g}")
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
        raise GateError(f"{where}.values: must be a list of {NUMBERS}, one a target")
    middle = mean(values)
    if middle is None:
        raise GateError(f"{where}.values: has no number in it")
    if not _is_number(metric.get("mean")):
        raise GateError(f"{where}.mean: must be a number within {LARGEST:g}")
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
    return (type(value) is float and abs(value) <= LARGEST) or (type(value) is int and abs(value) < 2**63)
