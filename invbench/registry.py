"""Names to parts: attacks, defences, models, data sets, protocols, games; and to metrics and the sheets of games.

A part is one file in its folder and its name is the file's name (`top_k.py` is `top-k`); a file that
starts with an underscore is a helper, not a part. So names are known without importing a part (and
without torch). The file holds one class marked by its decorator: a frozen dataclass whose fields, made by
`parameter`, say once what the YAML keys, `invbench list` and the JSON schema show. A metric's and a sheet's file
holds a value instead (`HELD`).

Packages outside add parts by an entry point in the group `invbench.plugins`, named `FOLDER.NAME`
(`attacks.my-attack = "my_package.my_attack"`). A matrix file can never name code to import.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from invbench.core.marks import attack, dataset, defense, game, model, protocol
from invbench.core.parameters import Parameter, nearest_name, parameter
from invbench.core.parts import COMMON, BadSettings, BrokenPart, Part, Problem, UnknownName, place_of
from invbench.core.theirs import PartRaised, theirs

__all__ = [
    "KINDS",
    "BadSettings",
    "BrokenPart",
    "Parameter",
    "Part",
    "Problem",
    "UnknownName",
    "attack",
    "dataset",
    "defense",
    "forget",
    "game",
    "held",
    "later_axes",
    "later_settings",
    "load",
    "model",
    "module_of",
    "names",
    "parameter",
    "plugin_names",
    "protocol",
    "serves",
    "unread_plugins",
    "version",
]

KINDS = {
    "attack": "attacks",
    "model": "models",
    "defense": "defenses",
    "dataset": "data",
    "protocol": "protocol",
    "game": "games",
}
"""A part's kind and its folder."""

HELD = {"metric": "metrics", "sheet": "sheets"}
"""Kinds whose file holds a value, called like the kind in capitals (`METRIC`, `SHEET`), instead of a class."""

FOLDERS = KINDS | HELD

V = TypeVar("V")


def serves(protocol: Part, game: str) -> bool:
    """Whether a protocol serves a game: it names the game, or one whose protocols serve that game too."""
    known = load("game", game).facts.get("protocols_of", ()) if game in names("game") else ()
    return bool({game, *known} & set(protocol.facts["games"]))


def names(kind: str) -> list[str]:
    """Every name of that kind, sorted, without importing a part."""
    return sorted(_files(kind) | set(_plugins(kind)))


def plugin_names(kind: str) -> set[str]:
    """The names of that kind that other packages add."""
    return set(_plugins(kind))


def unread_plugins() -> dict[str, str | None]:
    """Entry points in our group of no kind that there is, each with the nearest kind's folder."""
    kinds = {entry.name: entry.name.partition(".")[0] for entry in entry_points(group="invbench.plugins")}
    folders = list(FOLDERS.values())
    return {name: nearest_name(kind, folders) for name, kind in kinds.items() if kind not in folders}


@cache
def later_settings(kind: str, name: str) -> dict[str, Any]:
    """Settings that a part got after its first results, with their defaults; none where no part has that name."""
    try:
        known = load(kind, name).parameters
    except UnknownName:
        return {}
    return {key: field.default for key, field in known.items() if field.later}


@cache
def later_axes(game: str) -> tuple[str, ...]:
    """Axes that a game got after its first results; none where no game has that name."""
    try:
        return tuple(load("game", game).facts.get("later", ()))
    except UnknownName:
        return ()


@cache
def version(kind: str, name: str, defenses: tuple[str, ...] = ()) -> int:
    """A part's version in cells that declare these defences; 1 where no part has that name."""
    try:
        return load(kind, name).version_beside(defenses)
    except UnknownName:
        return 1


@cache
def load(kind: str, name: str) -> Part:
    """The part of that name; UnknownName with the nearest one, BrokenPart where its file cannot be used."""
    cls, facts = _marked(module_of(kind, name), kind)
    return Part(kind, name, cls, facts)


def held(kind: str, name: str, type_: type[V]) -> tuple[V, str]:
    """The metric or sheet of that name, and its file; refused as by `load`."""
    module = module_of(kind, name)
    value = getattr(module, kind.upper(), None)
    if not isinstance(value, type_):
        raise BrokenPart(f"{module.__file__}: must hold {kind.upper()} = {type_.__name__}(...)")
    return value, str(module.__file__)


def module_of(kind: str, name: str) -> ModuleType:
    """The module of the part, metric or sheet of that name, imported; refused as by `load`."""
    plugins = _plugins(kind)
    if name in _files(kind):
        module = f"invbench.{FOLDERS[kind]}.{name.replace('-', '_')}"
    elif name in plugins:
        module = plugins[name]
    else:
        raise UnknownName(kind, name, nearest_name(name, names(kind)))
    try:
        with theirs():
            return importlib.import_module(module)
    except PartRaised as raised:
        raise BrokenPart(f"{kind} {name}: {place_of(raised.error, ours=2)}{raised}") from raised.error


def forget() -> None:
    """Look for parts anew: packages were installed or removed while the process ran."""
    for remembered in (later_settings, later_axes, version, load, _files, _plugins):
        remembered.cache_clear()


def _marked(module: ModuleType, kind: str) -> tuple[type, Mapping[str, Any]]:
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and vars(value).get("__invbench__", (None,))[0] == kind
    ]
    if len(found) != 1:
        raise BrokenPart(f"{module.__name__} must hold exactly one class marked as {kind}, not {len(found)}")
    fields = getattr(found[0], "__dataclass_fields__", {})
    if taken := COMMON.get(kind, {}).keys() & fields.keys():
        every = f"every {kind} has that setting, and invbench acts on it"
        raise BrokenPart(f"{module.__file__}: {found[0].__name__} declares {min(taken)!r}: {every}")
    undeclared = [f.name for f in fields.values() if "parameter" not in f.metadata]
    if undeclared:
        raise BrokenPart(
            f"{module.__file__}: {found[0].__name__}.{undeclared[0]} must be declared by parameter(...),"
            f" as in: {undeclared[0]}: float = parameter(0.5, help='what it is')"
        )
    return found[0], vars(found[0])["__invbench__"][1]


@cache
def _files(kind: str) -> set[str]:
    folder = Path(__file__).parent / FOLDERS[kind]
    return {f.stem.replace("_", "-") for f in folder.glob("*.py") if not f.stem.startswith("_")}


@cache
def _plugins(kind: str) -> dict[str, str]:
    prefix = FOLDERS[kind] + "."
    found = entry_points(group="invbench.plugins")
    plugins: dict[str, str] = {}
    for entry in (e for e in found if e.name.startswith(prefix)):
        name = entry.name.removeprefix(prefix)
        if name in _files(kind) or plugins.get(name, entry.value) != entry.value:
            there = plugins.get(name, f"invbench.{FOLDERS[kind]}.{name.replace('-', '_')}")
            raise BrokenPart(
                f"plugin {entry.name} ({entry.value}) has the name of a part that is there already: {there}"
            )
        plugins[name] = entry.value
    return plugins
