"""`--only KEY=VALUE`: the cells of a run that are wanted now."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from invbench.cell import Cell, Choice, defense_name
from invbench.core.names import Defaults, told
from invbench.core.parameters import nearest_name
from invbench.matrix.choices import Reader
from invbench.matrix.errors import Errors
from invbench.matrix.excluding import Wanted, agrees, read_wanted
from invbench.matrix.source.nodes import Items, Place
from invbench.matrix.source.reading import read
from invbench.matrix.values import AXES, EXCLUDE_KEYS
from invbench.matrix.varying import defaults_that_vary

KEYS = (*AXES, "game", "dataset", "seed")


def select(cells: Sequence[Cell], only: Sequence[str]) -> list[Cell]:
    """Cells that agree with every KEY given, with any of its values where a KEY is given more than once.

    A value is what tables print: `dlg`, `lenet(trained=true)`, `clip(norm=1)+gaussian(std=0.01)`, `4`; or the
    bare name, which stands for every setting (`lenet`, `clip+gaussian`); or what stands in a matrix file, of which
    the settings given count: `{name: lenet, trained: true}`, `[1, 4]`, `[[clip, gaussian]]`. MatrixErrors where a key
    is unknown, or nothing agrees.
    """
    errors, defaults = Errors(), defaults_that_vary(cells)
    spellings = cache(lambda key, value: _spellings(key, value, defaults))
    wanted: dict[str, list[str | Wanted]] = {}

    def fits(cell: Cell, key: str, one: str | Wanted) -> bool:
        value = getattr(cell, key)
        return one in spellings(key, value) if isinstance(one, str) else agrees(value, one)

    for given in only:
        place = Place(f"--only {given}")
        key, equals, value = given.partition("=")
        if not equals:
            errors.add(place, "must be KEY=VALUE")
        elif key not in KEYS:
            errors.add(place, f"no axis is called {key!r}", nearest_name(key, KEYS))
        elif value.startswith(("{", "[")) and key in EXCLUDE_KEYS:
            ones = _of_yaml(key, value, place, errors)
            if ones and not any(fits(cell, key, one) for cell in cells for one in ones):
                errors.add(place, f"no cell has {key} {value}")
            wanted.setdefault(key, []).extend(ones)
        else:
            known = set().union(*(spellings(key, getattr(cell, key)) for cell in cells))
            if value not in known:
                errors.add(place, f"no cell has {key} {value!r}", nearest_name(value, sorted(known)))
            wanted.setdefault(key, []).append(value)
    errors.check()
    chosen = [c for c in cells if all(any(fits(c, key, one) for one in ones) for key, ones in wanted.items())]
    if not chosen:
        errors.add(Place(" ".join(f"--only {given}" for given in only)), "no cell agrees with all of these")
        errors.check()
    return chosen


def _of_yaml(key: str, value: str, place: Place, errors: Errors) -> list[Wanted]:
    """What is wanted by a value as a matrix writes it; of a list, as of an axis, each item is one."""
    node, complaints = read(value, place.file, fixed=True)
    errors.add_unread(complaints)
    if node is None:
        return []
    items = node.items if isinstance(node, Items) else (node,)
    if not items:
        errors.add(place, f"{key} is an empty list")
    reader = Reader(Path().absolute(), errors)
    found = [read_wanted(key, item, reader) for item in items]
    return [one for one in found if one is not None]


def _spellings(key: str, value: Any, defaults: Defaults) -> frozenset[str]:
    """The ways to write a value of an axis; none where a cell's game does not use the axis."""
    if value is None:
        return frozenset()
    if isinstance(value, Choice):
        bare, name = value.name, value.short
    elif isinstance(value, tuple):
        bare, name = "+".join(choice.name for choice in value), defense_name(value) or ""
    else:
        bare = name = str(value)
    return frozenset({bare, name, told({key: name}, defaults)[key]} - {""})
