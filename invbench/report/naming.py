"""Names of cells among others: what differs between the cells at hand is said, what they share is cut.

Names are those of every table: `name` or `name(key=value,...)`, stacked defences joined by `+`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from invbench.core.names import NamedPart, parsed

Names = Mapping[str, Any]

WORDS = {"batch_size": "b{}", "seed": "seed {}"}
"""How a value that is a number reads in a line; others are words as they are."""


def varying(every: Iterable[Names], axes: Sequence[str]) -> list[str]:
    """Those of the axes in which the cells differ."""
    listed = list(every)
    return [axis for axis in axes if len({names.get(axis) for names in listed}) > 1]


def labels(values: Iterable[object]) -> dict[object, str]:
    """A text for each different value of one axis: its name without the settings that all of that name share.

    No two values get one text: where they would, all stay as they are.
    """
    distinct = list(dict.fromkeys(values))
    stacks = {value: parsed(str(value)) for value in distinct if value is not None}
    shared = _shared(part for stack in stacks.values() for part in stack)
    short = {value: "" if value is None else _text(stacks[value], shared) for value in distinct}
    if len(set(short.values())) < len(short):
        return {value: "" if value is None else str(value) for value in distinct}
    return short


def line(names: Names, axes: Iterable[str], of_axis: Mapping[str, Mapping[object, str]] | None = None) -> str:
    """A cell on one line: `dlg lenet b1 none`; `of_axis` has the labels of each axis, where they are not the names."""
    words = []
    for axis in axes:
        value = names.get(axis)
        if value is not None:
            text = str(value) if of_axis is None else of_axis[axis].get(value, str(value))
            words.append(WORDS.get(axis, "{}").format(text))
    return " ".join(words)


def _shared(parts: Iterable[NamedPart]) -> dict[str, dict[str, str]]:
    """For each name the settings that every part of that name has with one value."""
    found: dict[str, dict[str, str]] = {}
    for part in parts:
        common = found.setdefault(part.name, dict(part.settings))
        found[part.name] = {key: value for key, value in common.items() if part.settings.get(key) == value}
    return found


def _text(stack: Sequence[NamedPart], shared: Mapping[str, Mapping[str, str]]) -> str:
    kept = [{key: value for key, value in part.settings.items() if key not in shared[part.name]} for part in stack]
    return "+".join(str(NamedPart(part.name, own)) for part, own in zip(stack, kept, strict=True))
