"""A part: its class, what its decorator says of it, and its settings; and what is refused of one."""

from __future__ import annotations

import importlib
import inspect
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, overload

from invbench.core.errors import Refusal
from invbench.core.parameters import Parameter, nearest_name, parameters_of, show_value
from invbench.core.theirs import PartRaised, theirs

F = TypeVar("F")

ADAPTIVE = "adaptive"
COMMON: Mapping[str, Mapping[str, Parameter]] = {
    "attack": {
        ADAPTIVE: Parameter(
            ADAPTIVE,
            bool,
            True,
            later=True,
            help="whether the attacker knows which defences are declared; false: the same attack, told of none",
        )
    }
}
"""Settings that every part of a kind has, beside those that its class declares: they are not handed to the class."""


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
        """All of its settings: those that its class declares, then those that every part of its kind has."""
        return {**parameters_of(self.cls), **COMMON.get(self.kind, {})}

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

    def version_beside(self, defenses: Iterable[str]) -> int:
        """The version of its cells that declare these defences, by name."""
        moved: Mapping[str, int] = self.facts.get("versions_with", {})
        return max([self.version, *(moved.get(name, 1) for name in defenses)])

    @overload
    def build(self, settings: Mapping[str, Any]) -> object: ...
    @overload
    def build(self, settings: Mapping[str, Any], face: type[F]) -> F: ...
    def build(self, settings: Mapping[str, Any], face: type = object) -> object:
        """The part with these settings (a `variant` such as torchvision/NAME's is one of them), as a `face`.

        A class that was written without its base gets it, and with it the base's defaults; BrokenPart where it lacks
        something that has none, or raises another error than a ValueError of its settings.
        """
        every, own = self.settings(settings), parameters_of(self.cls)
        values = {key: value for key, value in every.items() if key in own}
        try:
            with theirs(ValueError, guarded=not _ours(self.cls)):
                cls = _faced(self.cls, face)
                missing = sorted(getattr(cls, "__abstractmethods__", ()))
                built: object = None if missing else cls(**values)
        except PartRaised as raised:
            raise BrokenPart(f"{self.kind} {self.name}: {place_of(raised.error, ours=1)}{raised}") from raised.error
        if missing:
            raise BrokenPart(f"{self.kind} {self.name}: {self.cls.__name__} has no {missing[0]}(), which it must have")
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


def place_of(error: BaseException, ours: int) -> str:
    """`FILE:LINE: ` of what is wrong in a part's file; empty where only `ours`, the outer frames, are in files."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: "
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    return f"{frames[-1].filename}:{frames[-1].lineno}: " if len(frames) > ours else ""


def _ours(cls: type) -> bool:
    """Whether a part comes with invbench: it leaves the process alone, and guarding it costs more than building it."""
    return cls.__module__.startswith("invbench.")


@cache
def _faced(cls: type, face: type) -> type:
    """The class itself where it is a `face`, else one of the same name that is."""
    return cls if issubclass(cls, face) else type(cls.__name__, (cls, face), {"__module__": cls.__module__})
