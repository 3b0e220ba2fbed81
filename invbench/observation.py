"""The types that cross the wall between attacker and truth.

A game makes `Observation`s, an attack answers with `Guess`es. An observation holds what its threat
model grants and nothing else; this module imports nothing of invbench, so a guess cannot reach the
client, the data or the scores through it.

Images are float tensors `(N, C, H, W)`. "Unit range" is [0, 1]; "normalised" is `(x - mean) / std` per
channel, the space in which the victim sees pictures.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Update = tuple[Tensor, ...]
"""What a client shares: one tensor a parameter, in the order of `model.named_parameters()`."""

Tensors = Mapping[str, Tensor]


class Failed(Exception):
    """The attack has no answer for this one observation; the reason is kept, a missing guess is scored."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer:
    """What every game's attacks say beside the answer itself.

    `diverged`: the answer comes from a lane that diverged. `stopped`: how many of the attack's optimisation runs,
    restarts included, stopped for which reason (`converged`, `at rest`, `budget spent`, `diverged`); empty where it
    has none. `objective`: the attacker's own final objective, None where it has none. `facts`: what the attacker can
    say of its own answer, as JSON, kept in the cell's record; `certified: true` among them says that the answer
    follows from the observation and is no other.
    """

    evaluations: int = 0
    diverged: bool = False
    objective: float | None = None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    stopped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Observation(ABC):
    """What one attacker sees. Each game has its own kind; its `public` part is known before anything is computed.

    `generator`: the attacker's own random stream (CPU). `prepared`: what the attack made from public knowledge
    before (`Preparation`), by the name that it gave to each.
    """

    public: Any
    generator: torch.Generator
    prepared: Mapping[str, Tensors] = field(default_factory=dict)

    @abstractmethod
    def nothing(self, reason: str) -> Answer:
        """The answer of an attack that has none, and why."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Preparation:
    """Something that an attack makes once from public knowledge, and that cells share: shadow models, a generator.

    `what`: for a person to read. `key`: the settings that it depends on, as JSON, beside what is public of the cell
    and the attacker's code. `make(made)`: its tensors, given those of each of `needs` by their names.
    """

    what: str
    key: Mapping[str, Any]
    make: Callable[[Mapping[str, Tensors]], Tensors]
    needs: Mapping[str, Preparation] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class PublicDefense:
    """A defence as the attacker knows it: its name and its public parameters."""

    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Public:
    """What everybody knows of one cell of game `update` before any update is seen.

    `network` is the victim's architecture on the meta device: layers and shapes, no weights.
    """

    model: str
    network: nn.Module
    image_shape: tuple[int, int, int]  # (C, H, W)
    classes: int
    batch_size: int  # of one client
    labels: str  # "known" or "hidden"
    mean: tuple[float, ...]
    std: tuple[float, ...]
    protocol: str = "fedsgd"
    protocol_settings: Mapping[str, Any] = field(default_factory=dict)
    defenses: tuple[PublicDefense, ...] = ()
    clients: int = 1  # whose updates are averaged in what is seen

    @property
    def pictures(self) -> int:
        """How many pictures the update seen was computed of, over all clients: the most that a guess may hold."""
        return self.batch_size * self.clients

    def first_layer(self) -> nn.Module | None:
        """The first layer that has weights of its own, if there is one."""
        return next((layer for layer in self.network.modules() if has_own_weight(layer)), None)

    def last_linear(self) -> tuple[str, nn.Linear] | None:
        """Name and layer of the classifier's last fully connected layer, if it gives the class scores."""
        layers = [(name, m) for name, m in self.network.named_modules() if has_own_weight(m)]
        name, layer = layers[-1] if layers else ("", None)
        return (name, layer) if isinstance(layer, nn.Linear) and layer.out_features == self.classes else None


@dataclass(frozen=True, eq=False, kw_only=True)
class UpdateObservation(Observation):
    """One client's shared update, or the average of several clients', as the server sees it (game `update`).

    `model` is a fresh copy of the global model: no `.grad`, in the mode the client used. `update`: what the protocol
    shares, as defended, one tensor a parameter. `labels` `(B,)` only where the protocol says that they are known.
    """

    public: Public
    model: nn.Module
    update: Update
    labels: Tensor | None
    device: torch.device

    def channel_constants(self) -> tuple[Tensor, Tensor]:
        """Normalisation constants `mean, std`, each `(C, 1, 1)`."""
        shape = (-1, 1, 1)
        mean = torch.tensor(self.public.mean, dtype=torch.float32, device=self.device).reshape(shape)
        std = torch.tensor(self.public.std, dtype=torch.float32, device=self.device).reshape(shape)
        return mean, std

    def to_unit_range(self, images: Tensor) -> Tensor:
        """Normalised images back to [0, 1], clamped."""
        mean, std = self.channel_constants()
        return (images * std + mean).clamp(0, 1)

    def nothing(self, reason: str) -> Guess:
        """The guess of an attack that has no answer: no picture, and why."""
        return Guess(images=torch.zeros(0, *self.public.image_shape), notes=(reason,))

    def update_of(self, layer: str) -> tuple[Tensor, Tensor | None]:
        """The shared update of one layer's weight and of its bias (None where it has none)."""
        names = [name for name, _ in self.model.named_parameters()]
        prefix = f"{layer}." if layer else ""
        weight, bias = self.update[names.index(f"{prefix}weight")], f"{prefix}bias"
        return weight, self.update[names.index(bias)] if bias in names else None


@dataclass(frozen=True, eq=False)
class Guess(Answer):
    """An attack's answer to one update: unit-range images `(N, C, H, W)` and labels `(N,)` or None.

    N may be less than the pictures that the update was computed of.
    """

    images: Tensor
    labels: Tensor | None = None


class AttributeModel(Protocol):
    """A released model, as whoever holds it can use it."""

    def log_likelihood(self, output: float, attributes: Mapping[str, Any]) -> float:
        """Log density of an output given every attribute, up to a constant that no attribute changes."""
        ...


@dataclass(frozen=True)
class AttributePrior:
    """What is published of a population whose attributes are independent within each group.

    `group`: the attribute that makes the groups (race). `shares[g]`: probability of group g.
    `table[name][g][value]`: probability of a value of attribute `name` in group g.
    """

    group: str
    shares: Mapping[str, float]
    table: Mapping[str, Mapping[str, Mapping[Any, float]]]

    def marginal(self, name: str) -> dict[Any, float]:
        """Probabilities of an attribute's values over all groups."""
        total: dict[Any, float] = {}
        for group, share in self.shares.items():
            for value, probability in self.table[name][group].items():
                total[value] = total.get(value, 0.0) + share * probability
        return total


@dataclass(frozen=True)
class AttributePublic:
    """What everybody knows of one cell of game `attribute`.

    `values`: the sensitive attribute's possible values, in a fixed order. `background`: the attributes
    that the attacker is given of each person, the prior's group among them.
    """

    model: str
    sensitive: str
    values: tuple[str, ...]
    background: tuple[str, ...]
    prior: AttributePrior


@dataclass(frozen=True, eq=False, kw_only=True)
class AttributeObservation(Observation):
    """One person's output and other attributes (game `attribute`).

    `attributes`: those of the background, by name. `output`: what the model's owner released (`iwpc`: the
    stable dose, mg/week). `model`: the released model itself, a fresh copy.
    """

    public: AttributePublic
    attributes: Mapping[str, Any]
    output: float
    model: AttributeModel

    def nothing(self, reason: str) -> AttributeGuess:
        """The answer of an attack that failed: every value as likely as the next."""
        count = len(self.public.values)
        return AttributeGuess(probabilities=(1 / count,) * count, notes=(reason,))


@dataclass(frozen=True)
class AttributeGuess(Answer):
    """Probabilities `(len(values),)` over the sensitive attribute's values; the guess is the largest."""

    probabilities: Sequence[float]


def has_own_weight(layer: nn.Module) -> bool:
    """Whether a layer holds a `weight` itself, not only through its children."""
    return isinstance(layer._parameters.get("weight"), Tensor)
