"""One cell of the matrix: frozen, with a stable id.

The id hashes what can change the cell's result and nothing else; where it ran, which controls were asked
for and how long it may take stand beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from invbench import registry
from invbench.core.parts import ADAPTIVE

RESULTS_VERSION = 1
"""Raised by hand when a change of the code changes what every cell computes; a part has a version of its own."""

MALICIOUS, ADDED = " (malicious server)", " (malicious server, module added)"
"""After the name of an attack whose server gives clients weights of its own; the same with a module in front."""

F = TypeVar("F")


@dataclass(frozen=True)
class Choice:
    """A part by name with all of its settings, defaults filled in: `{name: clip, norm: 1.0}`."""

    kind: str
    name: str
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def part(self) -> registry.Part:
        return registry.load(self.kind, self.name)

    def build(self, face: type[F]) -> F:
        """The attack, model, defence, ... itself."""
        return self.part.build(dict(self.settings), face)

    @cached_property
    def short(self) -> str:
        """As it prints everywhere: `name` or `name(key=value,...)`."""
        return self.part.short(dict(self.settings))

    @cached_property
    def key(self) -> dict[str, Any]:
        """JSON form, for random streams: a part draws the same whatever its version.

        Paths are left out: content is hashed, not place. A data set's is the cell's own; another part that reads files
        says it itself, as `content`. So are settings left out that a part got later, at their defaults; and whether an
        attack is adaptive: what it is told changes none of its draws.
        """
        later = registry.later_settings(self.kind, self.name)
        said = ((k, v) for k, v in self.settings if not isinstance(v, Path) and not (k in later and later[k] == v))
        own = ((k, v) for k, v in said if self.adaptive or k != ADAPTIVE)
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in own}
        return {"name": self.name, **plain, **self._content}

    @property
    def _content(self) -> dict[str, str]:
        """What files of a part's own hold, as hashed at this moment; nothing where it reads none."""
        if self.kind == "dataset" or not any(isinstance(value, Path) for _, value in self.settings):
            return {}
        content = getattr(self.build(object), "content", None)
        return {"content": content} if isinstance(content, str) else {}

    @property
    def changed(self) -> bool:
        """Whether files of the part's own hold something else by now than when its key was made."""
        return self._content != {name: value for name, value in self.key.items() if name == "content"}

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The same with the part's version, which is counted from 2: JSON form for ids and records."""
        return self.key | self.told | _version("version", self.kind, self.name)

    @property
    def adaptive(self) -> bool:
        """Whether it is an attack that is told of the declared defences, or no attack."""
        return self.kind != "attack" or dict(self.settings).get(ADAPTIVE) is not False

    @property
    def told(self) -> dict[str, bool]:
        """What enters ids of what an attack is told: `adaptive: false`, nothing where it knows the defences."""
        return {} if self.adaptive else {ADAPTIVE: False}

    def told_of(self, defense: tuple[Choice, ...] | None) -> Choice:
        """The attack itself; where no defence is declared there is nothing to know, and it is its adaptive twin."""
        if self.adaptive or defense:
            return self
        return replace(self, settings=tuple((k, True if k == ADAPTIVE else v) for k, v in self.settings))


@dataclass(frozen=True)
class Cell:
    """One attack on one victim. Axes that the game does not use are None (`defense`: None, not empty)."""

    game: str
    attack: Choice
    model: Choice
    dataset: Choice
    data_hash: str  # SHA-256 of images, labels and split
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None  # mean, std per channel
    batch_size: int | None
    defense: tuple[Choice, ...] | None  # () is `none`
    protocol: Choice | None
    targets: int
    offset: int
    seed: int
    threads: int = 1
    compile: str = "off"
    controls: tuple[str, ...] = ()  # outside the id
    timeout: float = 600.0  # seconds; outside the id

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Everything that can change the result, as JSON."""
        said = {
            "version": RESULTS_VERSION,
            "game": self.game,
            **_version("game_version", "game", self.game),
            "data": self.data_hash,
            **_version("data_version", "dataset", self.dataset.name),
            "normalisation": self.normalisation,
            "attack": self.attack.key
            | self.attack.told
            | _version("version", "attack", self.attack.name, self._declared),
            "model": self.model.identity,
            "batch_size": self.batch_size,
            "defense": None if self.defense is None else [d.identity for d in self.defense],
            "protocol": None if self.protocol is None else self.protocol.identity,
            "targets": self.targets,
            "offset": self.offset,
            "seed": self.seed,
            "threads": self.threads,
            "compile": self.compile,
        }
        if not (later := registry.later_axes(self.game)):
            return said
        usual = {"defense": (), "protocol": default_protocol(self.game)}
        return said | {axis: None for axis in later if getattr(self, axis) == usual[axis]}

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits of the settings' SHA-256."""
        text = json.dumps(self.settings, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def _declared(self) -> tuple[str, ...]:
        return tuple(choice.name for choice in self.defense or ())

    @property
    def classes(self) -> tuple[type, ...]:
        """The classes of all of its parts: whose code can change its result."""
        others = [] if self.protocol is None else [self.protocol]
        choices = [self.attack, self.model, self.dataset, *(self.defense or ()), *others]
        return (registry.load("game", self.game).cls, *(choice.part.cls for choice in choices))

    @property
    def names(self) -> dict[str, Any]:
        """The axes as they print in every table; None for an axis that the game does not use."""
        return {
            "game": self.game,
            "dataset": self.dataset.short,
            "attack": self.attack.short + _remark(self.attack.part.facts),
            "model": self.model.short,
            "batch_size": self.batch_size,
            "defense": defense_name(self.defense),
            "protocol": None if self.protocol is None else self.protocol.short,
            "seed": self.seed,
        }


def _remark(facts: Mapping[str, Any]) -> str:
    """What is said after an attack's name of the server that it takes."""
    return "" if facts["server"] != "malicious" else ADDED if facts["adds_module"] else MALICIOUS


def _version(key: str, kind: str, name: str, defenses: tuple[str, ...] = ()) -> dict[str, int]:
    """A part's version beside these defences under this key, nothing for the first one."""
    version = registry.version(kind, name, defenses)
    return {key: version} if version > 1 else {}


def default_protocol(game: str) -> Choice | None:
    """The protocol of a game where none is named; None for a game without protocols."""
    name = registry.load("game", game).facts["protocol"] if game in registry.names("game") else None
    if name is None:
        return None
    return Choice("protocol", name, tuple(registry.load("protocol", name).settings({}).items()))


def defense_name(stack: tuple[Choice, ...] | None) -> str | None:
    """`none`, `clip(norm=1)+gaussian(std=0.01)`, or None where the game has no defences."""
    if stack is None:
        return None
    return "+".join(choice.short for choice in stack) or "none"
