"""Printed names of parts, taken apart and put together: `name(key=value,...)`, stacked defences joined by `+`.

A printed name holds the settings that are not at their defaults. Beside a part of the same name that has another value
of a setting that reads badly: `map-inversion` beside `map-inversion(prior=marginal)`. `told` says the default there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from invbench.core.parameters import show_value

Defaults: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Axis -> printed name without settings -> setting, in alphabetical order -> its default."""

_REMARK = re.compile(r" \([^()]*\)$")  # after a name, as that its server is malicious


class NamedPart(NamedTuple):
    """A part's printed name and the texts of its settings by key."""

    name: str
    settings: dict[str, str]

    def __str__(self) -> str:
        said = ",".join(f"{key}={value}" for key, value in self.settings.items())
        return f"{self.name}({said})" if said else self.name


def parsed(name: str) -> list[NamedPart]:
    """The parts of a stack; what does not read as a name with settings is one part without any."""
    parts = []
    for text in split(name, "+"):
        found = re.fullmatch(r"([^()]*)\((.*)\)", text)
        pairs = [pair.partition("=") for pair in split(found[2], ",")] if found else []
        if found is None or not all(equals for _, equals, _ in pairs):
            parts.append(NamedPart(text, {}))
        else:
            parts.append(NamedPart(found[1], {key: value for key, _, value in pairs}))
    return parts


def split(text: str, sign: str) -> list[str]:
    """The text at each of these signs that stands outside of all brackets."""
    pieces, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == sign and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += character
    return pieces


def told(names: Mapping[str, Any], defaults: Defaults, known: dict[Any, Any] | None = None) -> dict[str, Any]:
    """A cell's printed names with these settings said where they are at their defaults.

    `known`: names told before, to which these are added; many cells have few different ones.
    """
    known = {} if known is None else known
    said = dict(names)
    for axis in defaults.keys() & said.keys():
        key = axis, said[axis]
        if key not in known:
            known[key] = _told(said[axis], defaults[axis])
        said[axis] = known[key]
    return said


def _told(name: Any, defaults: Mapping[str, Mapping[str, Any]]) -> Any:
    if not isinstance(name, str):
        return name
    remark = "".join(_REMARK.findall(name))
    parts = parsed(name.removesuffix(remark))
    if not any(defaults.get(part.name, {}).keys() - part.settings.keys() for part in parts):
        return name
    whole = [NamedPart(part.name, _with(part.settings, defaults.get(part.name, {}))) for part in parts]
    return "+".join(map(str, whole)) + remark


def _with(said: Mapping[str, str], defaults: Mapping[str, Any]) -> dict[str, str]:
    """What a name says, each default that it lacks before what comes later among them."""
    order, whole = list(defaults), list(said)
    for key in order:
        if key not in said:
            later = [at for at, other in enumerate(whole) if other in order and order.index(other) > order.index(key)]
            whole.insert(later[0] if later else len(whole), key)
    return {key: said[key] if key in said else show_value(defaults[key]) for key in whole}
