"""What there is to name in a matrix, as data: kinds, names, settings, JSON Schema."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invbench import registry
from invbench.core.parameters import Parameter, nearest_name, show_value
from invbench.numbers.columns import Column
from invbench.sheets import broken_metrics, columns, sheet_of

KIND_OF = {
    "attacks": "attack",
    "models": "model",
    "defenses": "defense",
    "datasets": "dataset",
    "protocols": "protocol",
    "games": "game",
}


@dataclass(frozen=True)
class Page:
    """One part: its whole docstring and its settings as `(name, type, default, meaning)`."""

    kind: str
    name: str
    text: str
    settings: tuple[tuple[str, str, str, str], ...]


def overview() -> dict[str, list[str]]:
    """Every name by kind."""
    return {kind: registry.names(part) for kind, part in KIND_OF.items()} | {"metrics": [*columns(), *broken_metrics()]}


def summaries(kind: str) -> list[tuple[str, str]]:
    """Each name of a kind (`attacks`, ...) with what it is."""
    if kind == "metrics":
        return [(column.name, f"{column.help}; {_direction(column)}") for column in columns().values()] + [
            (name, f"BROKEN: {error}") for name, error in broken_metrics().items()
        ]
    return [(name, _summary(KIND_OF[kind], name)) for name in registry.names(KIND_OF[kind])]


def _summary(kind: str, name: str) -> str:
    """What a part is; of a broken one what is wrong with it, so that the others are listed all the same."""
    try:
        return registry.load(kind, name).summary
    except registry.BrokenPart as error:
        return f"BROKEN: {error}"


def page(kind: str, name: str) -> Page:
    """One part's page; UnknownName with the nearest one."""
    if kind == "metrics":
        if name not in columns():
            if name in broken_metrics():
                raise registry.BrokenPart(broken_metrics()[name])
            raise registry.UnknownName("metric", name, nearest_name(name, columns()))
        column = columns()[name]
        unit = f" ({column.unit})" if column.unit else ""
        text = f"{column.help}{unit}.\n\n{_direction(column)}; tolerance {column.tolerance:g}."
        return Page(kind, name, text, ())
    part = registry.load(KIND_OF[kind], name)
    rows = tuple(_row(setting) for setting in part.parameters.values())
    told = "\n".join(f"- {what}: {', '.join(words)}" for what, words in _told(part).items() if words)
    return Page(kind, name, f"{part.text}\n\n{told}" if told else part.text, rows)


def _told(part: registry.Part) -> dict[str, Iterable[str]]:
    """What its decorator, and of a game its sheet, says of a part: what goes with it, by name."""
    if part.kind == "attack":
        malicious = part.facts["server"] == "malicious"
        return {
            "game": [part.facts["game"]],
            "server": ["malicious (clients are given weights of its making)"] if malicious else [],
            "adds": ["a module in front of the network, which clients can see"] if part.facts["adds_module"] else [],
            "controls that always run beside it": part.facts["controls"],
        }
    if part.kind in ("model", "dataset"):
        return {"data": [part.facts["data"]]}
    if part.kind == "protocol":
        games = [name for name in registry.names("game") if _serves(part.name, name)]
        return {"games": games, "adds the axes": part.facts["axes"]}
    if part.kind == "defense":
        games = [name for name in registry.names("game") if set(_stages(part)) & set(_stages_of("game", name))]
        return {"acts at the stages": _stages(part), "and so in the games": games}
    if part.kind == "game":
        sheet = sheet_of(part.name)
        protocols = [name for name in registry.names("protocol") if _serves(name, part.name)]
        return {
            "data": [part.facts["data"]],
            "axes": part.facts["axes"],
            "protocols": protocols,
            "attacks": [name for name in registry.names("attack") if _game_of(name) == part.name],
            "defences that act in it": [
                name for name in registry.names("defense") if set(_stages_of("defense", name)) & set(_stages(part))
            ],
            "metrics": sheet.by_name,
            "controls that can be asked for": sheet.said.controls,
        }
    return {}


def _serves(protocol: str, game: str) -> bool:
    try:
        return registry.serves(registry.load("protocol", protocol), game)
    except registry.BrokenPart:
        return False


def _game_of(attack: str) -> str | None:
    """The game of an attack; None of one that is broken, which the list of attacks says."""
    try:
        game: str = registry.load("attack", attack).facts["game"]
        return game
    except registry.BrokenPart:
        return None


def _stages_of(kind: str, name: str) -> tuple[str, ...]:
    try:
        return _stages(registry.load(kind, name))
    except registry.BrokenPart:
        return ()


def _stages(part: registry.Part) -> tuple[str, ...]:
    """The stages at which a defence can act, or those that a game passes through."""
    from invbench.defenses import STAGES, stages_of  # late: it imports torch, which lists of names do without

    if part.kind == "defense":
        return stages_of(part.cls)
    return tuple(stage for stage in STAGES if stage in getattr(part.cls, "stages", ()))


def _direction(column: Column) -> str:
    """Which way is which: `higher is a stronger attack`."""
    role = {"cost": "a cost, and no leak", "limit": "a bound, and no leak"}.get(column.role)
    return f"{column.better} is a stronger attack" if role is None else f"{role}; {column.better} is better"


def schema(kind: str, name: str) -> dict[str, Any]:
    """The JSON Schema of what a matrix may say of this part."""
    if kind == "metrics":
        raise registry.UnknownName("part with settings", name, None)
    part = registry.load(KIND_OF[kind], name)
    properties = {key: _schema_of(setting) for key, setting in part.parameters.items()}
    required = [key for key, setting in part.parameters.items() if setting.required]
    found = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{part.kind} {part.name}",
        "description": part.summary,
        "type": "object",
        "properties": {"name": {"const": part.name}, **properties},
        "required": ["name", *required],
        "additionalProperties": False,
    }
    return _with_variant(found, part.name) if "variant" in properties else found


def _with_variant(whole: dict[str, Any], name: str) -> dict[str, Any]:
    """The schema of a part whose variant is a key, or stands in the name: `NAME/VARIANT`."""
    named = {"type": "string", "pattern": f"^{name}(/.+)?$"}
    return whole | {
        "properties": whole["properties"] | {"name": named},
        "required": [key for key in whole["required"] if key != "variant"],
        "if": {"properties": {"name": {"const": name}}},
        "then": {"required": ["variant"]},
        "else": {"properties": {"variant": False}},
    }


def _row(setting: Parameter) -> tuple[str, str, str, str]:
    default = "(must be given)" if setting.required else show_value(setting.default)
    notes = [setting.help, setting.bounds(), f"unit: {setting.unit}" if setting.unit else ""]
    return setting.name, _type_in_words(setting.annotation), default, "; ".join(note for note in notes if note)


def _type_in_words(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return " | ".join(show_value(value) for value in typing.get_args(annotation))
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return " | ".join(_type_in_words(kind) for kind in typing.get_args(annotation))
    if typing.get_origin(annotation) is tuple:
        return f"list of {_type_in_words(typing.get_args(annotation)[0])}"
    words = {int: "whole number", float: "number", bool: "true | false", str: "word", Path: "path", type(None): "null"}
    return words[annotation]


def _schema_of(setting: Parameter) -> dict[str, Any]:
    bounds = {
        "exclusiveMinimum": setting.above,
        "minimum": setting.at_least,
        "exclusiveMaximum": setting.below,
        "maximum": setting.at_most,
    }
    given = {key: bound for key, bound in bounds.items() if bound is not None}
    found: dict[str, Any] = {"description": setting.help} | _json_type(setting.annotation, given)
    if not setting.required and not isinstance(setting.default, Path):
        found["default"] = setting.default
    return found


def _json_type(annotation: Any, bounds: dict[str, float]) -> dict[str, Any]:
    """The type with bounds on its numbers, those in a list included."""
    if typing.get_origin(annotation) is typing.Literal:
        return {"enum": list(typing.get_args(annotation))}
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return {"anyOf": [_json_type(kind, bounds) for kind in typing.get_args(annotation)]}
    if typing.get_origin(annotation) is tuple:
        return {"type": "array", "items": _json_type(typing.get_args(annotation)[0], bounds), "minItems": 1}
    words = {int: "integer", float: "number", bool: "boolean", str: "string", Path: "string", type(None): "null"}
    return {"type": words[annotation]} | (bounds if annotation in (int, float) else {})
