"""Several defences, in the order of their list, as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

import torch
from torch import Tensor

from invbench.defenses._contract import (
    check_bytes,
    check_clients,
    check_expected,
    check_is,
    check_kept,
    checked_notes,
)
from invbench.defenses._face import VALUE, Batch, Context, Defense, Round, Stage
from invbench.observation import Update

if TYPE_CHECKING:
    from torch import nn

    from invbench.core.regression import Regression
    from invbench.core.training import Training


@dataclass(frozen=True)
class Stack:
    """Defences in the order of their list."""

    defenses: tuple[Defense, ...] = ()

    @overload
    def at(self, stage: Literal["corpus"], value: list[str], context: Context) -> list[str]: ...
    @overload
    def at(self, stage: Literal["model"], value: nn.Module, context: Context) -> nn.Module: ...
    @overload
    def at(self, stage: Literal["training"], value: Training, context: Context) -> Training: ...
    @overload
    def at(self, stage: Literal["inputs"], value: Batch, context: Context) -> Batch: ...
    @overload
    def at(self, stage: Literal["per_example"], value: list[Update], context: Context) -> list[Update]: ...
    @overload
    def at(self, stage: Literal["update"], value: Update, context: Context) -> Update: ...
    @overload
    def at(self, stage: Literal["aggregate"], value: list[Update], context: Context) -> list[Update]: ...
    @overload
    def at(self, stage: Literal["answer"], value: Tensor, context: Context) -> Tensor: ...
    @overload
    def at(self, stage: Literal["regression"], value: Regression, context: Context) -> Regression: ...
    def at(self, stage: Stage, value: Any, context: Context) -> Any:
        """The value after this stage of every defence that acts there; BrokenContract names the one that breaks its."""
        for defense in self.defenses:
            if stage in defense.stages():
                given = getattr(defense, stage)(value, context)
                check_kept(type(defense).__name__, stage, value, given)
                value = given
        return value

    def on(self, network: nn.Module) -> Stack:
        """The same defences, of updates of this network."""
        return Stack(tuple(_given(defense, "on", defense.on(network)) for defense in self.defenses))

    def of_round(self, round: Round) -> Stack:
        """The same defences, of such a round; ValueError with why one of them cannot take part."""
        return Stack(tuple(_given(defense, "of_round", defense.of_round(round)) for defense in self.defenses))

    def acts(self, stage: Stage) -> bool:
        """Whether any of them acts at this stage."""
        return any(stage in defense.stages() for defense in self.defenses)

    def only(self, stages: frozenset[Stage]) -> Stack:
        """Those that act at any of these stages."""
        return Stack(tuple(defense for defense in self.defenses if stages & set(defense.stages())))

    def expected(self, mean: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """Mean and variance of what is shared, from those of the update before the `update` stage."""
        for defense in self.defenses:
            given = defense.seen_as(mean, variance, seen)
            check_expected(type(defense).__name__, "seen_as", mean, given)
            mean, variance = given
        return mean, variance

    def interval(self, seen: Update) -> tuple[Update, Update]:
        """Between which two values each coordinate lay before the `update` stage, noise and scale apart."""
        low = high = seen
        for defense in reversed(self.defenses):
            given = defense.interval(low, high, seen)
            check_expected(type(defense).__name__, "interval", low, given)
            low, high = given
        return low, high

    def message_bytes(self, shared: Update, clients: int = 1) -> int:
        """Bytes that one of so many clients sends a round, for `shared` as the `update` stage left it.

        What is added at stage `aggregate` comes last, wherever it is listed. Zeros are left out once: each defence is
        told what a message takes in which every coordinate has a value. BrokenContract where a defence says no whole
        number of bytes.
        """
        every = sent = VALUE * sum(tensor.numel() for tensor in shared)
        whole = tuple(_without_zeros(tensor) for tensor in shared)
        for defense in sorted(self.defenses, key=lambda one: "aggregate" in one.stages()):
            said, without = (defense.message_bytes(of, clients, every) for of in (shared, whole))
            check_bytes(type(defense).__name__, said)
            check_bytes(type(defense).__name__, without)
            if type(defense).message_bytes is not Defense.message_bytes:
                sent = min(sent, said) if defense.leaves_out else said
            every = without
        return sent

    def told(self, network: nn.Module) -> Mapping[str, str]:
        """Buffers of the network that a gradient tells, and by which layer: see `Defense.told`."""
        return {name: of for defense in self.defenses for name, of in defense.told(network).items()}

    def clients_seen(self, clients: int) -> int:
        """The updates of how many clients, the first of so many, are in what the server sees."""
        for defense in self.defenses:
            seen = defense.clients_seen(clients)
            check_clients(type(defense).__name__, seen, clients)
            clients = seen
        return clients

    def round_notes(self, clients: int) -> tuple[str, ...]:
        """What a reader of results must know of a round of so many clients, defence by defence."""
        said = [checked_notes(type(defense).__name__, defense.round_notes(clients)) for defense in self.defenses]
        return tuple(note for notes in said for note in notes)

    def training_notes(self, training: Training) -> tuple[str, ...]:
        """What a reader must know of a training, as all of them left it, defence by defence."""
        said = [checked_notes(type(defense).__name__, defense.training_notes(training)) for defense in self.defenses]
        return tuple(note for notes in said for note in notes)

    @property
    def leaves_open(self) -> bool:
        """Whether any of them has a rule of its own by which several values become one."""
        return any(type(defense).interval is not Defense.interval for defense in self.defenses)

    def adds_noise(self, batch_size: int) -> bool:
        """Whether any of them adds noise to what a client with such a batch sends."""
        return any(defense.noise_sent(batch_size) is not None for defense in self.defenses)

    @property
    def hides_scale(self) -> bool:
        """Whether what is shared may be a multiple, by an unknown factor, of what the client computed."""
        return any(defense.hides_scale for defense in self.defenses)

    @property
    def signs_alone(self) -> bool:
        """Whether what is shared tells the signs of values and nothing else of them: a factor may follow, no noise."""
        acting = [defense for defense in self.defenses if "update" in defense.stages()]
        last = max((place for place, defense in enumerate(acting) if defense.signs), default=None)
        return last is not None and all(defense.hides_scale for defense in acting[last + 1 :])

    @property
    def leaves_out(self) -> bool:
        """Whether a zero in what is shared may be an entry that was not sent."""
        return any(defense.leaves_out for defense in self.defenses)


def _given(defense: Defense, method: str, given: Defense) -> Defense:
    check_is(type(defense).__name__, method, given, Defense)
    return given


NO_DEFENSES = Stack()


def _without_zeros(tensor: Tensor) -> Tensor:
    """The tensor with its least magnitude in the place of zeros, so that what is a multiple of a step stays one."""
    least = tensor[tensor != 0].abs()
    return torch.where(tensor == 0, least.min() if len(least) else 1.0, tensor)
