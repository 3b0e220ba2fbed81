"""The matrix's own keys: what each may hold, its default and its meaning."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from invbench import registry
from invbench.cell import Choice
from invbench.core.parameters import Parameter, nearest_name
from invbench.matrix.choices import Reader, read_choice, read_stack
from invbench.matrix.errors import Errors
from invbench.matrix.source.nodes import Entry, Items, Node, Place, Table, plain, show

MOST_THREADS = 1024

SETTINGS = {
    field.name: field
    for field in (
        Parameter("targets", int, 8, "batches attacked per cell", at_least=1),
        Parameter("offset", int, 0, "index of the first batch", unit="batches", at_least=0),
        Parameter("seed", int, 0, "of weights, client and attack; a list makes it an axis", at_least=0),
        Parameter("timeout", float, 600.0, "time limit of a cell", unit="s", above=0),
        Parameter("threads", int, 1, "threads of one cell", at_least=1, at_most=MOST_THREADS),
        Parameter("compile", Literal["off", "on"], "off", "compile the attack's steps"),
        Parameter("batch_size", int, 1, "images of one client's batch", at_least=1),
    )
}
AXES = ("attack", "model", "batch_size", "defense", "protocol")
MATRIX_KEYS = (
    *("name", "dataset", "targets", "offset", "seed", "timeout", "threads", "compile", "controls"),
    *("utility", "published", "grid", "exclude", "include"),
)
INCLUDE_KEYS = (*AXES, "dataset", "targets", "offset", "seed")
EXCLUDE_KEYS = (*AXES, "dataset", "seed")
NAMES_THE_GAME = "the attack names the game; `invbench list games NAME` lists a game's attacks"


def refuse_unknown(table: Table, known: Iterable[str], what: str, errors: Errors) -> None:
    """Note every key that is not among the known ones."""
    known = list(known)
    for key, entry in table.entries.items():
        if key in ("game", "games"):
            errors.add(entry.place, f"{what} has no {key!r}: {NAMES_THE_GAME}")
        elif key not in known and "grid" in known and (kind := _kind_of(key)) is not None:
            errors.add(entry.place, f"{what} has no {key!r}: that is a name for `{kind}` in the grid")
        elif key not in known:
            errors.add(entry.place, f"{what} has no {key!r}", nearest_name(key, known))


def _kind_of(key: str) -> str | None:
    """The axis whose parts have one of this name, as people write `audit: {canaries: 2000}`; None where none has."""
    return next((kind for kind in AXES if kind in registry.KINDS and key in registry.names(kind)), None)


def read_setting(name: str, node: Node, errors: Errors) -> Any | None:
    """The value of one of SETTINGS, or None where it is refused."""
    field, value = SETTINGS[name], plain(node)
    try:
        return field.read(value)
    except ValueError as error:
        errors.add(node.place, f"{name} {error}", nearest_name(str(value), field.choices))
        return None


def setting(name: str, table: Table, errors: Errors, default: Any = None) -> Any:
    """The value under a key; where it is absent or refused, `default`, else the setting's own."""
    entry = table.entries.get(name)
    value = None if entry is None else read_setting(name, entry.value, errors)
    if value is not None:
        return value
    return SETTINGS[name].default if default is None else default


def read_name(entry: Entry | None, stem: str, place: Place, errors: Errors) -> str:
    """The matrix's name, by default the file's own without its suffix: a plain file name."""
    place = place if entry is None else entry.value.place
    name = stem if entry is None else plain(entry.value)
    if not isinstance(name, str):
        errors.add(place, f"name must be a word, not {show(name)}")
        return stem
    unfit = [c for c in name if not c.isprintable() or c in '/\\:*?"<>|']
    if unfit or not name or name[0] in ".-~ " or name[-1] in ". " or len(name.encode(errors="replace")) > 100:
        errors.add(place, f"name must be a plain file name, not {name!r}")
    return name


def read_axis(axis: str, node: Node, reader: Reader) -> tuple[Any, ...]:
    """An axis's values in their order; a single value is an axis of one."""
    items = node.items if isinstance(node, Items) else (node,)
    if not items:
        reader.errors.add(node.place, f"{axis} is an empty axis")
    values = [read_value(axis, item, reader) for item in items]
    return tuple(value for value in values if value is not None)


def read_value(axis: str, node: Node, reader: Reader) -> int | Choice | tuple[Choice, ...] | None:
    """One value of an axis, or None where it is refused."""
    if axis in SETTINGS:
        return read_setting(axis, node, reader.errors)
    return read_stack(node, reader) if axis == "defense" else read_choice(axis, node, reader)
