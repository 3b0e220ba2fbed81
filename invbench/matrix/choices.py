"""Nodes to `Choice`s: a part by its name, or a mapping of its name and settings."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from invbench import registry
from invbench.cell import Choice
from invbench.core.errors import in_words
from invbench.core.parameters import nearest_name
from invbench.matrix.clashing import refuse_clashes
from invbench.matrix.controls import strange_control
from invbench.matrix.errors import Errors
from invbench.matrix.source.nodes import Entry, Items, Node, Place, Scalar, Table, plain, show

NONE = "none"


@dataclass(frozen=True)
class Named:
    """A known part as a node names it, before its settings are checked."""

    part: registry.Part
    place: Place  # of the name
    given: dict[str, Entry]


@dataclass(frozen=True)
class Reader:
    """What reading a node needs: where relative paths start, and where mistakes go."""

    folder: Path  # of the matrix file
    errors: Errors

    def path(self, text: str, place: Place) -> Path:
        """A user's path as an absolute one: from the matrix file's folder, from here where `--set` gave it."""
        try:
            path = Path(text).expanduser()
        except RuntimeError as error:
            self.errors.add(place, str(error))
            path = Path(text)
        return ((Path() if place.line is None else self.folder) / path).absolute()


def read_choice(kind: str, node: Node, reader: Reader) -> Choice | None:
    """The part with all of its settings, or None where something is wrong with it."""
    named = read_name(kind, node, reader)
    if named is None:
        return None
    part, known = named.part, named.part.parameters
    values = {key: setting_of(named, key, entry, reader) for key, entry in named.given.items()}
    try:
        settings = part.settings(values)
        part.build(settings)
    except registry.BadSettings as bad:
        for problem in bad.problems:
            entry = named.given.get(problem.key) if problem.key is not None else None
            place = named.place if entry is None else entry.value.place if entry.key in known else entry.place
            beside = _protocols_with(entry.key) if entry is not None and entry.key not in known else ""
            reader.errors.add(place, problem.message + beside, problem.nearest)
        return None
    except (ValueError, registry.BrokenPart) as error:
        reader.errors.add(named.place, in_words(error))
        return None
    if kind == "attack" and (strange := strange_control(part)) is not None:
        reader.errors.add(named.place, *strange)
        return None
    return Choice(kind, part.name, tuple(settings.items()))


def _protocols_with(key: str) -> str:
    """`; protocols that have it: ...` of a setting that stands under another part; empty where none has it."""
    owners = [name for name in registry.names("protocol") if _has(name, key)]
    return f"; protocols that have it: {', '.join(owners)}" if owners else ""


def _has(protocol: str, key: str) -> bool:
    try:
        return key in registry.load("protocol", protocol).parameters
    except registry.BrokenPart:
        return False


def read_stack(node: Node, reader: Reader) -> tuple[Choice, ...] | None:
    """A stack of defences in their order; () for `none`."""
    if names_none(node, reader):
        return ()
    if not isinstance(node, Items):
        choice = read_choice("defense", node, reader)
        return None if choice is None else (choice,)
    if not node.items:
        reader.errors.add(node.place, f"an empty stack of defences; write {NONE}")
    elif len(node.items) == 1 and names_none(node.items[0], reader):
        return ()
    choices = [_stacked(item, reader) for item in node.items]
    known = tuple(choice for choice in choices if choice is not None)
    if len(known) < len(choices) or not known:
        return None
    return None if refuse_clashes(known, node.items, reader.errors) else known


def _stacked(node: Node, reader: Reader) -> Choice | None:
    if names_none(node, reader):
        reader.errors.add(node.place, f"{NONE} stands alone, not in a stack of defences")
        return None
    return read_choice("defense", node, reader)


def names_none(node: Node, reader: Reader) -> bool:
    """Whether a node is the defence `none`, which has no settings."""
    if isinstance(node, Scalar):
        return node.value == NONE
    name = node.entries.get("name") if isinstance(node, Table) else None
    if name is None or not isinstance(name.value, Scalar) or name.value.value != NONE:
        return False
    assert isinstance(node, Table)
    for entry in node.entries.values():
        if entry is not name:
            reader.errors.add(entry.place, f"{NONE} has no {entry.key!r}")
    return True


def read_name(kind: str, node: Node, reader: Reader) -> Named | None:
    """The part that a node names; None, with the reason noted, where there is none of that name."""
    given: dict[str, Entry] = {}
    name = node
    if isinstance(node, Table):
        given = {key: entry for key, entry in node.entries.items() if key != "name"}
        if "name" not in node.entries:
            misspelt = difflib.get_close_matches("name", given, n=1, cutoff=0.7)
            for key in misspelt:
                reader.errors.add(given[key].place, f"{kind} has no {key!r}", "name")
            if not misspelt:
                reader.errors.add(node.place, f"{kind} must be a name or a mapping with 'name'; this has none")
            return None
        name = node.entries["name"].value
    if not isinstance(name, Scalar) or not isinstance(name.value, str):
        reader.errors.add(name.place, f"{kind} must be a name or a mapping with 'name', not {show(plain(name))}")
        return None
    word, slash, variant = name.value.partition("/")
    known = registry.names(kind)
    try:
        part = registry.load(kind, word) if word in known else None
    except registry.BrokenPart as error:
        reader.errors.add(name.place, str(error))
        return None
    if part is None or (slash and "variant" not in part.parameters):
        choices = [*known, NONE] if kind == "defense" else known
        near = nearest_name(word, choices)
        reader.errors.add(name.place, f"no {kind} is called {name.value!r}", near)
        return None
    if slash:
        if "variant" in given:
            reader.errors.add(given["variant"].place, f"{name.value} names its variant already")
        given["variant"] = Entry("variant", name.place, Scalar(name.place, variant))
    return Named(part, name.place, given)


def setting_of(named: Named, key: str, entry: Entry, reader: Reader) -> Any:
    """A setting's plain value; a path made absolute."""
    value = plain(entry.value)
    field = named.part.parameters.get(key)
    if field is not None and Path in (field.annotation, *get_args(field.annotation)) and isinstance(value, str):
        return reader.path(value, entry.value.place)
    return value
