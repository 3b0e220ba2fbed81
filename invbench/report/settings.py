"""The settings of a cell's parts by name, as `summary.csv` has them and tables compare them: `defense.std`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from invbench.core.parameters import show_value

PARTS = ("attack", "model", "defense", "protocol")
"""The axes whose values are parts with settings, in the order of columns."""
NOT_SETTINGS = ("name", "version")


def part_settings(settings: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Each setting of the parts in a record's settings and its value: a number, or a word as it prints.

    A setting that several defences of a stack have is one word, as in their names: `0.1+0.2`. Equal settings of many
    cells are one object.
    """
    found: dict[str, Any] = {}
    for axis in PARTS:
        of_axis = settings.get(axis)
        for part in of_axis if isinstance(of_axis, list) else [of_axis]:
            for key, value in _of_part(part):
                name = f"{axis}.{key}"
                found[name] = f"{show_value(found[name])}+{show_value(value)}" if name in found else value
    return _one_of(tuple(found.items()), tuple(map(type, found.values())))


@lru_cache(maxsize=4096)
def _one_of(
    pairs: tuple[tuple[str, Any], ...], kinds: tuple[type, ...]
) -> tuple[tuple[str, Any], ...]:  # `kinds` keeps 1, 1.0 and true apart
    return pairs


def _of_part(part: Any) -> Iterator[tuple[str, Any]]:
    """Name and value of each setting; what is no plain value as it prints."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key not in NOT_SETTINGS and value is not None:
                plain = isinstance(value, int | float | str) and not isinstance(value, bool)
                yield str(key), value if plain else show_value(value)
