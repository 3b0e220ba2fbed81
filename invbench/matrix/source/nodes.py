"""Values with their places."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

Value: TypeAlias = bool | int | float | str | None
Plain: TypeAlias = "Value | list[Plain] | dict[str, Plain]"


@dataclass(frozen=True)
class Place:
    """Where something stands: 1-based line and column, None where the source has no lines."""

    file: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True)
class Complaint:
    """What is wrong at one place."""

    place: Place
    message: str


@dataclass(frozen=True)
class Scalar:
    """A word, a number, true, false or nothing (None)."""

    place: Place
    value: Value


@dataclass(frozen=True)
class Items:
    """A list."""

    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Entry:
    """A key of a table, where the key stands, and its value."""

    key: str
    place: Place
    value: Node


@dataclass(frozen=True)
class Table:
    """A mapping; its keys are words and none is repeated."""

    place: Place
    entries: dict[str, Entry] = field(hash=False)


Node: TypeAlias = Scalar | Items | Table


def plain(node: Node) -> Plain:
    """The value without its places."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Items):
        return [plain(item) for item in node.items]
    return {key: plain(entry.value) for key, entry in node.entries.items()}


def show(value: Plain) -> str:
    """A value in an error message."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else repr(value)
