"""`exclude`: which cells of the grid are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from invbench.cell import Cell, Choice
from invbench.core.parameters import nearest_name
from invbench.matrix.choices import NONE, Reader, names_none, read_name, setting_of
from invbench.matrix.source.nodes import Items, Node, Place, Table, plain, show
from invbench.matrix.values import EXCLUDE_KEYS, SETTINGS, read_setting, refuse_unknown


@dataclass(frozen=True)
class Pattern:
    """Parts of one name whose settings agree with those given; without any, every part of that name."""

    name: str
    settings: tuple[tuple[str, Any], ...]

    def matches(self, choice: Choice) -> bool:
        return choice.name == self.name and all(setting in choice.settings for setting in self.settings)


Wanted: TypeAlias = int | Pattern | tuple[Pattern, ...]
"""What an axis must be: a number, a part, or a stack of defences (() is `none`)."""


@dataclass(frozen=True)
class Exclusion:
    """Cells of which every axis named here agrees; a cell without such an axis does not."""

    place: Place
    wanted: Mapping[str, Wanted]

    def matches(self, cell: Cell) -> bool:
        return all(agrees(getattr(cell, axis), wanted) for axis, wanted in self.wanted.items())


def read_exclusion(node: Node, reader: Reader) -> Exclusion | None:
    """One entry of `exclude`, or None where something is wrong with it."""
    if not isinstance(node, Table):
        reader.errors.add(node.place, f"exclude holds mappings of axes, not {show(plain(node))}")
        return None
    refuse_unknown(node, EXCLUDE_KEYS, "exclude", reader.errors)
    if not node.entries:
        reader.errors.add(node.place, "an exclude without an axis would leave nothing")
    wanted = {key: read_wanted(key, e.value, reader) for key, e in node.entries.items() if key in EXCLUDE_KEYS}
    known = {key: value for key, value in wanted.items() if value is not None}
    return Exclusion(node.place, known) if len(known) == len(node.entries) > 0 else None


def read_wanted(axis: str, node: Node, reader: Reader) -> Wanted | None:
    """What an axis must be, or None where that is refused."""
    if axis in SETTINGS:
        number: int | None = read_setting(axis, node, reader.errors)
        return number
    if axis != "defense":
        return _read_pattern(axis, node, reader)
    if names_none(node, reader):
        return ()
    items = node.items if isinstance(node, Items) else (node,)
    if not items:
        reader.errors.add(node.place, f"an empty stack of defences; write {NONE}")
        return None
    patterns = [_read_pattern(axis, item, reader) for item in items]
    known = tuple(pattern for pattern in patterns if pattern is not None)
    return known if len(known) == len(patterns) else None


def _read_pattern(kind: str, node: Node, reader: Reader) -> Pattern | None:
    named = read_name(kind, node, reader)
    if named is None:
        return None
    settings = []
    for key, entry in named.given.items():
        field = named.part.parameters.get(key)
        if field is None:
            problem = named.part.unknown(key)
            reader.errors.add(entry.place, problem.message, problem.nearest)
            continue
        try:
            settings.append((key, field.read(setting_of(named, key, entry, reader))))
        except ValueError as error:
            near = nearest_name(str(plain(entry.value)), field.choices)
            reader.errors.add(entry.value.place, f"{named.part.name}: {key} {error}", near)
    return Pattern(named.part.name, tuple(settings))


def agrees(value: Any, wanted: Wanted) -> bool:
    """Whether a cell's value of an axis is the one wanted."""
    if isinstance(wanted, Pattern):
        return value is not None and wanted.matches(value)
    if isinstance(wanted, tuple):
        return (
            value is not None
            and len(value) == len(wanted)
            and all(pattern.matches(choice) for pattern, choice in zip(wanted, value, strict=True))
        )
    return bool(value == wanted)
