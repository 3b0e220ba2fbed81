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
import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar, overload

from invbench.core.errors import Refusal, in_words
from invbench.core.parameters import Parameter, nearest_name, parameter, parameters_of, show_value

__all__ = ["KINDS", "BadSettings", "BrokenPart", "Parameter", "Part", "Problem", "UnknownName", "parameter"]

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

T = TypeVar("T", bound=type)
F = TypeVar("F")
V = TypeVar("V")


class UnknownName(Refusal):
    """No part of that kind has that name; `nearest` is the closest one, or None."""

    def __init__(self, kind: str, name: str, nearest: str | None) -> None:
        super().__init__(f"no {kind} is called {name!r}")
        self.nearest = nearest


class BrokenPart(Refusal):
    """A part's file that cannot be loaded, or does not hold what a part must; the message names the place."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a part's settings: the key at fault (None: the part itself), and the remedy."""

    key: str | None
    message: str
    nearest: str | None = None


class BadSettings(Exception):
    """Settings that a part refuses: every problem at once."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(p.message for p in problems))
        self.problems = problems


@dataclass(frozen=True)
class Part:
    """A named, registered class and what its decorator said of it."""

    kind: str
    name: str
    cls: type
    facts: Mapping[str, Any]

    @property
    def parameters(self) -> dict[str, Parameter]:
        return parameters_of(self.cls)

    @property
    def text(self) -> str:
        """The module's and the class's docstrings: what it is, its source, its traps."""
        written = [inspect.getdoc(importlib.import_module(self.cls.__module__)), inspect.getdoc(self.cls)]
        return "\n\n".join(text for text in written if text)

    @property
    def summary(self) -> str:
        """First line of the class's docstring."""
        return (inspect.getdoc(self.cls) or "").partition("\n")[0]

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All settings, defaults filled in and values in their own types; BadSettings names every problem."""
        known = self.parameters
        problems = [self.unknown(key) for key in given if key not in known]
        values: dict[str, Any] = {}
        for key, field in known.items():
            if key not in given:
                if field.required:
                    problems.append(Problem(None, f"{self.name} needs {key!r} ({field.help})"))
                else:
                    values[key] = field.default
                continue
            try:
                values[key] = field.read(given[key])
            except ValueError as error:
                near = nearest_name(str(given[key]), field.choices)
                problems.append(Problem(key, f"{self.name}: {key} {error}", near))
        if problems:
            raise BadSettings(problems)
        return values

    def unknown(self, key: str) -> Problem:
        """That the part has no such setting, and the nearest one, or where none is near, all that it has."""
        near = nearest_name(key, self.parameters)
        there = f"its settings are {', '.join(self.parameters)}" if self.parameters else "it has no settings"
        return Problem(key, f"{self.name} has no {key!r}" + ("" if near else f"; {there}"), near)

    @property
    def version(self) -> int:
        """Raised by hand, on the part's decorator, when a change of its code changes what it computes."""
        version: int = self.facts.get("version", 1)
        return version

    @overload
    def build(self, settings: Mapping[str, Any]) -> object: ...
    @overload
    def build(self, settings: Mapping[str, Any], face: type[F]) -> F: ...
    def build(self, settings: Mapping[str, Any], face: type = object) -> object:
        """The part with these settings (a `variant` such as torchvision/NAME's is one of them), as a `face`.

        A class that was written without its base gets it, and with it the base's defaults; BrokenPart where it lacks
        something that has none.
        """
        cls = _faced(self.cls, face)
        missing = sorted(getattr(cls, "__abstractmethods__", ()))
        if missing:
            raise BrokenPart(f"{self.kind} {self.name}: {self.cls.__name__} has no {missing[0]}(), which it must have")
        built: object = cls(**self.settings(settings))
        return built

    def short(self, settings: Mapping[str, Any]) -> str:
        """`name` or `name(key=value,...)`: the settings that differ from the defaults, in field order."""
        known = self.parameters
        name = f"{self.name}/{settings['variant']}" if "variant" in known else self.name
        changed = [
            f"{key}={show_value(settings[key])}"
            for key, field in known.items()
            if key != "variant" and key in settings and (field.required or settings[key] != field.default)
        ]
        return f"{name}({','.join(changed)})" if changed else name


def attack(
    *,
    game: str,
    aims: Literal["all", "client"] = "all",
    closed_form: Literal["certified", "plain"] | None = None,
    version: int = 1,
) -> Callable[[T], T]:
    """Mark a class as the attack of its file.

    `game`: its threat model's name. `aims`: `all` pictures behind an update, or those of one `client` of several.
    `closed_form`: it solves for the pictures, and can say that an answer is the only one (`certified`) or cannot.
    `version`, here and below: raised when a change of the code changes what the part computes; cells of the part then
    have another id, and no others.
    """
    return _mark("attack", game=game, aims=aims, closed_form=closed_form, version=version)


def model(*, data: str, version: int = 1) -> Callable[[T], T]:
    """Mark a class as the model of its file; `data` is what it takes: `images` or `table`."""
    return _mark("model", data=data, version=version)


def dataset(*, data: str, version: int = 1) -> Callable[[T], T]:
    """Mark a class as the data set of its file; `data` is what it holds: `images` or `table`."""
    return _mark("dataset", data=data, version=version)


@overload
def defense(cls: T, /) -> T: ...
@overload
def defense(*, version: int) -> Callable[[T], T]: ...
def defense(cls: T | None = None, /, *, version: int = 1) -> T | Callable[[T], T]:
    """Mark a class as the defence of its file; the stages it acts at are the methods it has."""
    mark = _mark("defense", version=version)
    return mark if cls is None else mark(cls)


def protocol(*, games: Sequence[str], axes: Sequence[str] = (), version: int = 1) -> Callable[[T], T]:
    """Mark a class as the protocol of its file: the games that it serves, the axes that it adds to theirs."""
    return _mark("protocol", games=_words("games", games), axes=_words("axes", axes), version=version)


def game(
    *,
    data: str,
    axes: Sequence[str],
    protocol: str | None = None,
    protocols_of: Sequence[str] = (),
    version: int = 1,
) -> Callable[[T], T]:
    """Mark a class as the game of its file.

    `data`: the kind of data that it is played on. `axes`: those of the matrix that it uses, beside what its protocol
    adds. `protocol`: the default one, None for a game without protocols. `protocols_of`: games whose protocols serve
    this one too, beside those that name it (`update`: another question about what clients share).
    """
    return _mark(
        "game",
        data=data,
        axes=_words("axes", axes),
        protocol=protocol,
        protocols_of=_words("protocols_of", protocols_of),
        version=version,
    )


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


@cache
def later_settings(kind: str, name: str) -> dict[str, Any]:
    """Settings that a part got after its first results, with their defaults; none where no part has that name."""
    try:
        known = load(kind, name).parameters
    except UnknownName:
        return {}
    return {key: field.default for key, field in known.items() if field.later}


@cache
def version(kind: str, name: str) -> int:
    """A part's version; 1 where no part has that name."""
    try:
        return load(kind, name).version
    except UnknownName:
        return 1


@cache
def load(kind: str, name: str) -> Part:
    """The part of that name; UnknownName with the nearest one, BrokenPart where its file cannot be used."""
    cls, facts = _marked(_module(kind, name), kind)
    return Part(kind, name, cls, facts)


def held(kind: str, name: str, type_: type[V]) -> tuple[V, str]:
    """The metric or sheet of that name, and its file; refused as by `load`."""
    module = _module(kind, name)
    value = getattr(module, kind.upper(), None)
    if not isinstance(value, type_):
        raise BrokenPart(f"{module.__file__}: must hold {kind.upper()} = {type_.__name__}(...)")
    return value, str(module.__file__)


def _module(kind: str, name: str) -> ModuleType:
    """The module of that name, imported."""
    plugins = _plugins(kind)
    if name in _files(kind):
        module = f"invbench.{FOLDERS[kind]}.{name.replace('-', '_')}"
    elif name in plugins:
        module = plugins[name]
    else:
        raise UnknownName(kind, name, nearest_name(name, names(kind)))
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever is wrong with somebody's file
        raise BrokenPart(f"{kind} {name}: {_place(error)}{type(error).__name__}: {in_words(error)}") from error


def forget() -> None:
    """Look for parts anew: packages were installed or removed while the process ran."""
    for remembered in (later_settings, version, load, _files, _plugins):
        remembered.cache_clear()


def _place(error: BaseException) -> str:
    """`FILE:LINE: ` of what cannot be loaded."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: "
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    return f"{frames[-1].filename}:{frames[-1].lineno}: " if len(frames) > 2 else ""


@cache
def _faced(cls: type, face: type) -> type:
    """The class itself where it is a `face`, else one of the same name that is."""
    return cls if issubclass(cls, face) else type(cls.__name__, (cls, face), {"__module__": cls.__module__})


def _mark(kind: str, **facts: Any) -> Callable[[T], T]:
    version = facts["version"]
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"version must be a whole number, at least 1, not {version!r}")

    def mark(cls: T) -> T:
        cls.__invbench__ = (kind, facts)  # type: ignore[attr-defined]
        return cls

    return mark


def _words(name: str, given: Sequence[str]) -> tuple[str, ...]:
    """Names that a decorator was given; ValueError where they are one word, whose letters would pass for names."""
    if isinstance(given, str):
        raise ValueError(f"{name} must be a list of names, as in {name}=({given!r},), not the word {given!r}")
    return tuple(given)


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
    undeclared = [
        f.name for f in getattr(found[0], "__dataclass_fields__", {}).values() if "parameter" not in f.metadata
    ]
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
