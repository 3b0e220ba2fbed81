"""Which settings differ between a matrix's parts of one name, some of which leave them at their defaults."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from invbench.cell import Cell, Choice
from invbench.core.parts import ADAPTIVE

AXES = ("dataset", "attack", "model", "defense", "protocol")
NOT_SAID = frozenset({"variant", ADAPTIVE})
"""A variant belongs to the name; whether an attack is told of the defences, reports say in a column of its own."""


def defaults_that_vary(cells: Iterable[Cell]) -> dict[str, dict[str, dict[str, Any]]]:
    """Axis -> name -> setting -> default: of each setting that is at its default in one cell and not in another.

    Tables name settings that are not at their defaults; these are said of both (`core/names.py`). JSON values.
    """
    every = list(cells)
    found = {}
    for axis in AXES:
        by_name = dict[str, set[Choice]]()
        values = {id(value): value for cell in every if (value := getattr(cell, axis)) is not None}  # cells share them
        for choice in (one for value in values.values() for one in (value if isinstance(value, tuple) else (value,))):
            by_name.setdefault(choice.short.partition("(")[0], set()).add(choice)
        varying = {name: said for name, choices in by_name.items() if (said := _varying(choices))}
        if varying:
            found[axis] = varying
    return found


def _varying(choices: set[Choice]) -> dict[str, Any]:
    """The settings in which these parts of one name differ, one of them at its default."""
    if len(choices) < 2:
        return {}
    said = {}
    for key, field in sorted(next(iter(choices)).part.parameters.items()):
        values = {repr(dict(choice.settings).get(key)) for choice in choices}
        if key in NOT_SAID or field.required or isinstance(field.default, Path):
            continue
        if len(values) > 1 and repr(field.default) in values:
            said[key] = list(field.default) if isinstance(field.default, tuple) else field.default
    return said
