"""What crosses the wall in every game: an observation, an answer, and what an attack prepares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]

Plain = None | bool | int | float | str
"""A value of a setting or of a table."""

Json = Plain | Sequence["Json"] | Mapping[str, "Json"]

Known = TypeVar("Known", covariant=True)
"""What everybody knows of a cell before anything is seen: of game `update` a `Public`."""


class Failed(Exception):
    """The attack has no answer for this one observation; the reason is kept, a missing guess is scored."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Normalised pictures `(N, C, H, W)` and their labels `(N,)`."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer:
    """What every game's attacks say beside the answer itself.

    `diverged`: the answer comes from a lane that diverged. `stopped`: how many of the attack's optimisation runs,
    restarts included, stopped for which reason (`converged`, `at rest`, `budget spent`, `diverged`); empty where it
    has none. `objective`: the attacker's own final objective, None where it has none. `facts`: what the attacker can
    say of its own answer, as JSON, kept in the cell's record; `certified: true` among them says that the answer
    follows from the observation and is no other. Numbers may be NumPy's or torch's; sets, objects and arrays of
    several values are refused, and the cell has failed.
    """

    evaluations: int = 0
    diverged: bool = False
    objective: float | None = None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)
    stopped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Observation(ABC, Generic[Known]):
    """What one attacker sees. Each game has its own kind; its `public` part is known before anything is computed.

    `generator`: the attacker's own random stream (CPU). `prepared`: what the attack made from public knowledge
    before (`Preparation`), by the name that it gave to each.
    """

    public: Known
    generator: torch.Generator
    prepared: Mapping[str, Tensors] = field(default_factory=dict)

    @abstractmethod
    def nothing(self, reason: str) -> Answer:
        """The answer of an attack that has none, and why."""

    def complaint(self, answer: object) -> str | None:
        """What makes this no answer to it, in words; None where it is one. An attack that gives none has failed."""
        return None


@dataclass(frozen=True, eq=False, kw_only=True)
class Preparation:
    """Something that an attack makes once from public knowledge, and that cells share: shadow models, a generator.

    `what`: for a person to read. `key`: the settings that it depends on, as JSON, beside what is public of the cell
    and the attacker's code. `make(made)`: its tensors, given those of each of `needs` by their names. `stages`: of the
    cell's defences it depends on those that act at one of these stages; None: on all of them. `trial(made)`: tensors
    of the same shapes, made in a short time, and how many seconds `make` should take; None where it cannot say.
    """

    what: str
    key: Mapping[str, Json]
    make: Callable[[Mapping[str, Tensors]], Tensors]
    needs: Mapping[str, Preparation] = field(default_factory=dict)
    stages: frozenset[str] | None = None
    trial: Callable[[Mapping[str, Tensors]], tuple[Tensors, float]] | None = None
