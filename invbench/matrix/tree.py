"""The matrix file as a tree of nodes, with every `--set KEY=VALUE` put in before anything is checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from invbench.matrix.errors import Errors
from invbench.matrix.source.nodes import Entry, Items, Node, Place, Scalar, Table, plain, show
from invbench.matrix.source.reading import MAX_BYTES, MAX_DEPTH, decode, read


def read_tree(path: Path, sets: Sequence[str], errors: Errors) -> tuple[Table | None, str]:
    """The tree, None where it cannot be read, and the text as run: headed by a comment that tells the sets."""
    file = str(path)
    try:
        with path.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        errors.add(Place(file), f"cannot be read: {getattr(error, 'strerror', None) or error}")
        return None, ""
    text, complaints = decode(data, file)
    errors.add_unread(complaints)
    if text is None:
        return None, ""
    node, complaints = read(text, file)
    errors.add_unread(complaints)
    if node is not None and not isinstance(node, Table):
        errors.add(node.place, f"a matrix is a mapping of keys such as 'dataset' and 'grid', not {show(plain(node))}")
    if not isinstance(node, Table):
        return None, text
    for given in sets:
        node = _with_set(node, given, errors)
    told = " ".join(f"--set {json.dumps(given)}" for given in sets)
    return node, f"# As run with {told}\n{text}" if sets else text


def _with_set(tree: Table, given: str, errors: Errors) -> Table:
    place = Place(f"--set {given}")
    key, equals, text = given.partition("=")
    keys = key.split(".")
    if not equals or not all(keys) or len(keys) > MAX_DEPTH:
        errors.add(place, "must be KEY=VALUE, a dot in KEY going one level down")
        return tree
    value, complaints = read(text, place.file, fixed=True) if text.strip() else (Scalar(place, None), [])
    errors.add_unread(complaints)
    if value is None:
        return tree
    try:
        return _put(tree, keys, value, place)
    except _NoWay as error:
        errors.add(place, str(error))
        return tree


class _NoWay(Exception):
    """A key leads through something that has no keys, or to an item that is not there."""


def _put(table: Table, keys: list[str], value: Node, place: Place) -> Table:
    """`table` with the value at that path; a bare name on the way becomes a mapping with that `name`."""
    key, *rest = keys
    old = table.entries.get(key)
    if rest:
        value = _inside(key, old.value if old else Table(place, {}), rest, value, place)
    new = Entry(key, old.place if old is not None and rest else place, value)
    return Table(table.place, table.entries | {key: new})


def _inside(key: str, node: Node, rest: list[str], value: Node, place: Place) -> Node:
    """What stands under `key`, with the value at the rest of the path; of a list the next key counts items from 0."""
    if isinstance(node, Items):
        word, *deeper = rest
        number = int(word) if word.isdecimal() and len(word) < 7 else len(node.items)
        if number >= len(node.items):
            raise _NoWay(f"{key!r} holds a list of {len(node.items)}, counted from 0: no item {word!r}")
        new = _inside(word, node.items[number], deeper, value, place) if deeper else value
        return Items(node.place, (*node.items[:number], new, *node.items[number + 1 :]))
    return _put(_as_table(key, node), rest, value, place)


def _as_table(key: str, node: Node) -> Table:
    if isinstance(node, Table):
        return node
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return Table(node.place, {"name": Entry("name", node.place, node)})
    raise _NoWay(f"{key!r} holds {show(plain(node))}, which has no keys")
