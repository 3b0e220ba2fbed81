"""Typed settings of a part: declared once, on the field, with default, bounds, unit and meaning."""

from __future__ import annotations

import dataclasses
import difflib
import math
import sys
import typing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal


@dataclass(frozen=True)
class Parameter:
    """One typed setting of a part, as its field declares it."""

    name: str
    annotation: Any
    default: Any  # dataclasses.MISSING where it must be given
    help: str
    unit: str = ""
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    within: str = ""  # the protocol's setting that it may not be above
    later: bool = False  # added to a published part: at its default it is no part of a cell's id

    @property
    def required(self) -> bool:
        return self.default is dataclasses.MISSING

    @property
    def choices(self) -> tuple[str, ...]:
        """Allowed words of a `Literal` field, else nothing."""
        return tuple(v for kind in _alternatives(self.annotation) for v in typing.get_args(kind) if isinstance(v, str))

    def read(self, value: Any) -> Any:
        """The value in the field's own type, or ValueError saying what is wrong."""
        result = _convert(value, self.annotation)
        for number in result if isinstance(result, tuple) else (result,):
            if isinstance(number, int | float) and not isinstance(number, bool):
                self._check_bounds(number)
        return result

    def bounds(self) -> str:
        """The bounds in words: `above 0, at most 1`."""
        words = ("above", "at_least", "below", "at_most")
        given = [(word.replace("_", " "), getattr(self, word)) for word in words]
        own = [f"{word} {bound:g}" for word, bound in given if bound is not None]
        return ", ".join([*own, *([f"at most the protocol's {self.within}"] if self.within else [])])

    def _check_bounds(self, number: float) -> None:
        inside = (
            (self.above is None or number > self.above)
            and (self.at_least is None or number >= self.at_least)
            and (self.below is None or number < self.below)
            and (self.at_most is None or number <= self.at_most)
        )
        if not inside:
            raise ValueError(f"must be {replace(self, within='').bounds()}, not {number:g}")


def parameter(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    unit: str = "",
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    within: str = "",
    later: bool = False,
) -> Any:
    """A dataclass field with its meaning, unit and bounds; without a default it must be given.

    `within`: a defence's setting that may not be above this one of the protocol's, as a threshold above `clients`.

    `later`: the field was added to a part that has results already, and its default is what the part did before.
    Cells that leave it at its default keep their id and their random streams.
    """
    bounds = {"above": above, "at_least": at_least, "below": below, "at_most": at_most}
    facts = {"help": help, "unit": unit, "within": within, "later": later, **bounds}
    return dataclasses.field(default=default, metadata={"parameter": facts})


def show_value(value: Any) -> str:
    """A setting as it prints in tables: `true`, `0.01`, `[1,2]`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Path):
        return value.name  # tables say which file, not where it lies
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, tuple | list):
        return "[" + ",".join(show_value(v) for v in value) + "]"
    return str(value)


def nearest_name(word: str, known: typing.Iterable[str]) -> str | None:
    """The known name closest to a misspelt one, or None where nothing is close."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return close[0] if close else None


@cache
def parameters_of(cls: type) -> dict[str, Parameter]:
    """The settings of a dataclass by name, in field order."""
    if not dataclasses.is_dataclass(cls):
        return {}
    hints = typing.get_type_hints(cls)
    return {
        field.name: Parameter(field.name, hints[field.name], field.default, **field.metadata["parameter"])
        for field in dataclasses.fields(cls)
        if "parameter" in field.metadata
    }


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (UnionType, typing.Union):
        return typing.get_args(annotation)
    return (annotation,)


def _convert(value: Any, annotation: Any) -> Any:
    kinds = _alternatives(annotation)
    if value is None and type(None) in kinds:
        return None
    # YAML reads 1e3 as a float. From 1e18 on a whole number has more digits than a file may give one.
    whole = int(value) if type(value) is float and abs(value) < 1e18 and value.is_integer() else value
    for kind in kinds:
        if typing.get_origin(kind) is Literal and (type(whole), whole) in [(type(v), v) for v in typing.get_args(kind)]:
            return whole
        if typing.get_origin(kind) is tuple and isinstance(value, list | tuple) and value:
            return tuple(_convert(v, typing.get_args(kind)[0]) for v in value)
        if kind is float and type(value) in (int, float) and abs(value) < math.inf and abs(value) <= sys.float_info.max:
            return float(value)
        if kind in (int, bool, str) and type(whole) is kind:
            return whole
        if kind is Path and isinstance(value, str | Path):
            return Path(value)
    raise ValueError(f"must be {_in_words(kinds)}, not {value!r}")


def _in_words(kinds: tuple[Any, ...]) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a word", Path: "a path"}
    parts = []
    for kind in kinds:
        if typing.get_origin(kind) is Literal:
            parts += [show_value(v) for v in typing.get_args(kind)]
        elif typing.get_origin(kind) is tuple:
            parts.append("a list")
        elif kind is not type(None):
            parts.append(words.get(kind, str(kind)))
    return " or ".join(parts)
