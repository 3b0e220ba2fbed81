"""`--only KEY=VALUE`: the cells of a run that are wanted now."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from invbench.cell import Cell, Choice, defense_name
from invbench.core.parameters import nearest_name
from invbench.matrix.errors import Errors
from invbench.matrix.source.nodes import Place
from invbench.matrix.values import AXES

KEYS = (*AXES, "game", "dataset", "seed")


def select(cells: Sequence[Cell], only: Sequence[str]) -> list[Cell]:
    """Cells that agree with every KEY given, with any of its values where a KEY is given more than once.

    A value is what tables print: `dlg`, `lenet(trained=true)`, `clip(norm=1)+gaussian(std=0.01)`, `4`; or the
    bare name, which stands for every setting (`lenet`, `clip+gaussian`). MatrixErrors where a key is unknown,
    or nothing agrees.
    """
    errors, spellings = Errors(), cache(_spellings)
    wanted: dict[str, set[str]] = {}
    for given in only:
        place = Place(f"--only {given}")
        key, equals, value = given.partition("=")
        if not equals:
            errors.add(place, "must be KEY=VALUE")
        elif key not in KEYS:
            errors.add(place, f"no axis is called {key!r}", nearest_name(key, KEYS))
        else:
            known = set().union(*(spellings(getattr(cell, key)) for cell in cells))
            if value not in known:
                errors.add(place, f"no cell has {key} {value!r}", nearest_name(value, sorted(known)))
            wanted.setdefault(key, set()).add(value)
    errors.check()
    chosen = [c for c in cells if all(values & spellings(getattr(c, key)) for key, values in wanted.items())]
    if not chosen:
        errors.add(Place(" ".join(f"--only {given}" for given in only)), "no cell agrees with all of these")
        errors.check()
    return chosen


def _spellings(value: Any) -> frozenset[str]:
    """The ways to write a value of an axis; none where a cell's game does not use the axis."""
    if isinstance(value, Choice):
        return frozenset({value.name, value.short})
    if isinstance(value, tuple):
        return frozenset({defense_name(value) or "", "+".join(choice.name for choice in value)} - {""})
    return frozenset() if value is None else frozenset({str(value)})
