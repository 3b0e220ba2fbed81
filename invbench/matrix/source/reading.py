"""Bytes to text, text to nodes; what is wrong on the way is gathered."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from invbench.matrix.source.nodes import Complaint, Entry, Items, Node, Place, Scalar, Table, Value, plain, show
from invbench.matrix.source.scalars import check_word, resolve

MAX_BYTES = 1 << 20
MAX_NODES = 100_000
MAX_DEPTH = 50


def decode(data: bytes, file: str) -> tuple[str | None, list[Complaint]]:
    """The file's text, or what is wrong with its bytes (too many, not UTF-8)."""
    if len(data) > MAX_BYTES:
        return None, [Complaint(Place(file), f"larger than {MAX_BYTES >> 20} MiB")]
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        return None, [Complaint(_place_after(before, file), "not UTF-8 text")]


def read(text: str, file: str, *, fixed: bool = False) -> tuple[Node | None, list[Complaint]]:
    """The one document of `text`, and everything wrong with it; None where nothing could be read.

    `fixed`: every place is `file` itself, without line and column (for a value that stands in no file).
    """
    reader = _Reader(file, fixed)
    try:
        node = reader.document(text)
    except _Stop as stop:
        node = None
        reader.complaints.append(Complaint(stop.place, stop.message))
    return node, reader.complaints


class _Stop(Exception):
    """Reading cannot go on."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place, self.message = place, message


@dataclass(frozen=True)
class _Anchored:
    """What an alias stands for."""

    node: Node
    size: int  # nodes, aliases followed
    height: int  # levels of nesting


class _Reader:
    """Builds nodes from parsing events; keeps the complaints that do not end the reading."""

    def __init__(self, file: str, fixed: bool) -> None:
        self.file, self.fixed = file, fixed
        self.complaints: list[Complaint] = []
        self.anchors: dict[str, _Anchored] = {}
        self.nodes = 0

    def document(self, text: str) -> Node:
        try:
            self.loader = yaml.SafeLoader(text)
        except yaml.reader.ReaderError as error:
            place = Place(self.file) if self.fixed else _place_after(text[: error.position], self.file)
            raise _Stop(place, f"character U+{ord(text[error.position]):04X} is not allowed") from None
        try:
            self._next()
            if isinstance(start := self._next(), yaml.StreamEndEvent):
                raise _Stop(self._place(start), "empty")
            node, _ = self._node(self._next(), depth=1)
            self._next()
            if not isinstance(end := self._next(), yaml.StreamEndEvent):
                self._complain(end, "a second document; there can be one only")
            return node
        finally:
            self.loader.dispose()

    def _next(self) -> yaml.Event:
        try:
            event: yaml.Event = self.loader.get_event()  # type: ignore[no-untyped-call]
        except yaml.MarkedYAMLError as error:
            why = f"{error.context}: {error.problem}" if error.context else error.problem
            raise _Stop(self._place_at(error.problem_mark or error.context_mark), f"not YAML: {why}") from None
        except (ValueError, OverflowError):  # PyYAML's int() and chr() of an absurd version or escape
            raise _Stop(self._place_at(self.loader.get_mark()), "not YAML: a number out of range") from None
        return event

    def _node(self, event: yaml.Event, depth: int) -> tuple[Node, int]:
        """The node that starts with this event, and its height."""
        if isinstance(event, yaml.AliasEvent):
            known = self.anchors.get(str(event.anchor))
            if known is None:
                raise _Stop(self._place(event), f"alias *{event.anchor} has no anchor that ends before it")
            self._count(event, known.size, depth + known.height - 1)
            return known.node, known.height
        before = self.nodes
        self._count(event, 1, depth)
        node, height = self._untagged(event, depth)
        if event.tag is not None:  # type: ignore[attr-defined]
            self._complain(event, "tags (!) are not allowed")
        if event.anchor is not None:  # type: ignore[attr-defined]
            self.anchors[event.anchor] = _Anchored(node, self.nodes - before, height)  # type: ignore[attr-defined]
        return node, height

    def _untagged(self, event: yaml.Event, depth: int) -> tuple[Node, int]:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event), 1
        return self._items(event, depth) if isinstance(event, yaml.SequenceStartEvent) else self._table(event, depth)

    def _items(self, event: yaml.Event, depth: int) -> tuple[Items, int]:
        items, height = [], 0
        while not isinstance(inner := self._next(), yaml.SequenceEndEvent):
            item, above = self._node(inner, depth + 1)
            items.append(item)
            height = max(height, above)
        return Items(self._place(event), tuple(items)), height + 1

    def _table(self, event: yaml.Event, depth: int) -> tuple[Table, int]:
        entries: dict[str, Entry] = {}
        height = 0
        while not isinstance(inner := self._next(), yaml.MappingEndEvent):
            key, below = self._node(inner, depth + 1)
            value, above = self._node(self._next(), depth + 1)
            height = max(height, below, above)
            if not isinstance(key, Scalar) or not isinstance(key.value, str):
                self._complain(inner, f"a key must be a word, not {show(plain(key))}")
            elif key.value == "<<":
                self._complain(inner, "merge keys (<<) are not allowed")
            elif key.value in entries:
                first = entries[key.value].place.line
                where = "" if first is None else f"; first in line {first}"
                self._complain(inner, f"{key.value!r} is repeated{where}")
            else:
                entries[key.value] = Entry(key.value, self._place(inner), value)
        return Table(self._place(event), entries), height + 1

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        value: Value = event.value
        try:
            check_word(event.value)
            value = resolve(event.value) if event.implicit[0] else event.value
        except ValueError as error:
            self._complain(event, str(error))
        return Scalar(self._place(event), value)

    def _count(self, event: yaml.Event, nodes: int, depth: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise _Stop(self._place(event), f"more than {MAX_NODES:,} values, aliases followed")
        if depth > MAX_DEPTH:
            raise _Stop(self._place(event), f"nested more than {MAX_DEPTH} deep")

    def _complain(self, event: yaml.Event, message: str) -> None:
        self.complaints.append(Complaint(self._place(event), message))

    def _place(self, event: yaml.Event) -> Place:
        return self._place_at(event.start_mark)

    def _place_at(self, mark: yaml.Mark | yaml._yaml.Mark | None) -> Place:
        if self.fixed or mark is None:
            return Place(self.file)
        return Place(self.file, mark.line + 1, mark.column + 1)


def _place_after(before: str, file: str) -> Place:
    """The place of the character that follows this text."""
    lines = before.split("\n")
    return Place(file, len(lines), len(lines[-1]) + 1)
