"""Defences: one file each; they know no attack. What every one of them has.

A defence is a frozen dataclass marked `@defense` with the base `Defense`. It acts at each stage whose method it has:

- `corpus(passages, context)`: a language model's training text, as passages in order, before anything is trained;
- `model(network, context)`: the network before it is trained (its weights drawn from torch's global generator);
- `training(training, context)`: how a victim is trained (`core/training.py`);
- `inputs(batch, context)`: a client's normalised pictures and labels, before it computes anything;
- `per_example(gradients, context)`: each example's own gradient, before they are averaged;
- `update(shared, context)`: what one client is about to share;
- `aggregate(updates, context)`: the updates of all clients, before the server sees them; it sees their mean;
- `answer(scores, context)`: what a released model answers to a query;
- `regression(regression, context)`: a regression of least squares (`core/regression.py`) before it is released.

A stack runs stage by stage and, within a stage, in the order of its list: `[gaussian, per-example-clip]` clips each
example first, then adds noise. What a defence does is public, its draws are not.

A defence keeps every tensor's shape, type and device, changes none of its input, and draws all randomness from
`context.generator`, the client's own CPU stream, so that the draw is the same on every device.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import torch
from torch import Tensor

from invbench.defenses._contract import check_kept
from invbench.observation import Public, Update

if TYPE_CHECKING:
    from torch import nn

    from invbench.core.regression import Regression
    from invbench.core.training import Training

Stage = Literal["corpus", "model", "training", "inputs", "per_example", "update", "aggregate", "answer", "regression"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""Where a defence can act, in the order in which a round passes through."""

NETWORK: frozenset[Stage] = frozenset({"corpus", "model", "training"})
"""The stages that change the victim itself: its weights depend on the defences that act there."""

VALUE = 4
"""Bytes of a float32, in which a client sends what no defence makes smaller."""

Batch = tuple[Tensor, Tensor]
"""Normalised pictures `(B, C, H, W)`; labels `(B,)` int64, or probabilities `(B, classes)` float."""


@dataclass(frozen=True, eq=False)
class Client:
    """What a client has at hand when it defends itself.

    `network`: the global model in the client's mode, a copy of its own with which it computes. `batch`: before stage
    `inputs` its own pictures and labels, after it those of which it computes.
    """

    public: Public
    network: nn.Module
    batch: Batch


@dataclass(frozen=True)
class Round:
    """What everybody knows of a round of `clients`: `batch` examples in what one of them takes a gradient of.

    `one_gradient`: whether a client shares the mean gradient of its batch itself. `mixing`: whether BatchNorm uses the
    batch's own statistics.
    """

    batch: int
    one_gradient: bool = True
    mixing: bool = False
    clients: int = 1


@dataclass(frozen=True)
class Context:
    """What a defence may use beside the value itself: `generator`, the client's own CPU stream.

    `client`: whose pictures or update it is, at the stages `inputs`, `per_example` and `update`; None elsewhere, and
    where an attacker computes what to expect.
    """

    generator: torch.Generator
    client: Client | None = None


@dataclass(frozen=True)
class Noise:
    """Independent noise on every entry of what one client sends, for the limits beside a measured attack.

    `variance`: of Gaussian noise of equal Fisher information, 1 / I, on what the last stage that it acts at leaves; of
    stage `per_example` on the mean of the batch. `behind`: the smooth steps that it takes before the noise.
    """

    variance: float
    behind: tuple[Defense, ...] = ()


class Defense:
    """A defence's stages, each of which leaves its value as it is unless a defence has that method of its own."""

    @property
    def hides_scale(self) -> bool:
        """Whether it multiplies an update by a factor that only the client knows."""
        return False

    @property
    def shortens(self) -> bool:
        """Whether its `update` stage makes no update longer, by L2 norm and by L1 norm, whatever it draws.

        Its draws may not depend on the update. Then a clip before it still bounds what comes after it.
        """
        return False

    leaves_out: bool = False
    """Whether it leaves entries of an update out, which are then seen as zeros that are no numbers of the client's."""

    reads_pictures: bool = False
    """Whether its `update` stage reads the client's pictures, too: behind noise it is more than post-processing."""

    smooth: bool = False
    """Whether, noise apart, it draws nothing and has a derivative almost everywhere that tells all of what it does.

    Rounding has none that does: its derivative is 0. torch.func must be able to differentiate it forward, in float64.
    """

    signs: bool = False
    """Whether it leaves nothing of a value but its sign."""

    def corpus(self, passages: list[str], context: Context) -> list[str]:
        return passages

    def model(self, network: nn.Module, context: Context) -> nn.Module:
        return network

    def training(self, training: Training, context: Context) -> Training:
        return training

    def unsupported(self, network: nn.Module, batch_size: int) -> str | None:
        """Why it cannot act on clients with such a network (on the meta device) and so many pictures each, or None."""
        return None

    def on(self, network: nn.Module) -> Defense:
        """The same defence, for whoever asks it of updates of this network (maybe on the meta device).

        Asked of a defence whose `seen_as` or `interval` depend on which layer a tensor belongs to.
        """
        return self

    def untrainable(self, network: nn.Module, training: Training) -> str | None:
        """Why it cannot take part in such a training of such a network (maybe on the meta device), or None."""
        return None

    def training_notes(self, training: Training) -> tuple[str, ...]:
        """What a reader of results must know of a training, as all defences left it, that it took part in."""
        return ()

    def of_round(self, round: Round) -> Defense:
        """Itself with every setting filled in that the round decides; ValueError with why it cannot take part."""
        return self

    def inputs(self, batch: Batch, context: Context) -> Batch:
        return batch

    def per_example(self, gradients: list[Update], context: Context) -> list[Update]:
        return gradients

    def update(self, shared: Update, context: Context) -> Update:
        return shared

    def aggregate(self, updates: list[Update], context: Context) -> list[Update]:
        return updates

    def answer(self, scores: Tensor, context: Context) -> Tensor:
        return scores

    def regression(self, regression: Regression, context: Context) -> Regression:
        return regression

    def told(self, network: nn.Module) -> Mapping[str, str]:
        """Buffers of the network that an attacker fills with the gradient of a parameter, each the name of its own.

        What a client drew is not known. For one picture such a gradient may tell what the draw did, so that the layers
        below can be simulated without it.
        """
        return {}

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """What an attacker can expect after its `update` stage: mean and variance of every coordinate.

        `expected` and `variance` are those before it, `seen` is what was shared in the end; infinite variance: not
        sent. A defence that does not say is run with a fixed stream and adds no variance.
        """
        return self.update(expected, Context(torch.Generator().manual_seed(0))), variance

    def interval(self, low: Update, high: Update, seen: Update) -> tuple[Update, Update]:
        """Between which two values each coordinate lay before its `update` stage, if after it between `low` and `high`.

        `seen` is what was shared in the end. For what is left open by a rule (not sent, rounded), not by noise; a
        defence that does not say leaves nothing open.
        """
        return low, high

    def noise_sent(self, batch_size: int) -> Noise | None:
        """The noise that it adds to what a client with such a batch sends; None where it adds none."""
        return None

    def message_bytes(self, shared: Update, clients: int, before: int) -> int:
        """Bytes that one of so many clients sends a round, for `shared` as all defences left it.

        `before`: what the defences listed earlier say, 4 bytes a value without any; the last decides what is sent.
        """
        return before

    def clients_seen(self, clients: int) -> int:
        """The updates of how many clients, the first of so many, are in what the server sees."""
        return clients

    def round_notes(self, clients: int) -> tuple[str, ...]:
        """What a reader of results must know of a round of so many clients with it."""
        return ()

    def stages(self) -> tuple[Stage, ...]:
        """The stages at which it acts, in the order of `STAGES`."""
        return stages_of(type(self))

    def public_parameters(self) -> dict[str, Any]:
        """What the attacker is told of it: every setting."""
        if not dataclasses.is_dataclass(self):  # somebody's, written without settings
            return {}
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def stages_of(cls: type) -> tuple[Stage, ...]:
    """The stages at which defences of this class can act, whatever their settings, in the order of `STAGES`."""
    own = {stage: getattr(cls, stage, None) for stage in STAGES}
    return tuple(stage for stage in STAGES if callable(own[stage]) and own[stage] is not getattr(Defense, stage))


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
        return Stack(tuple(defense.on(network) for defense in self.defenses))

    def acts(self, stage: Stage) -> bool:
        """Whether any of them acts at this stage."""
        return any(stage in defense.stages() for defense in self.defenses)

    def only(self, stages: frozenset[Stage]) -> Stack:
        """Those that act at any of these stages."""
        return Stack(tuple(defense for defense in self.defenses if stages & set(defense.stages())))

    def expected(self, mean: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """Mean and variance of what is shared, from those of the update before the `update` stage."""
        for defense in self.defenses:
            mean, variance = defense.seen_as(mean, variance, seen)
        return mean, variance

    def interval(self, seen: Update) -> tuple[Update, Update]:
        """Between which two values each coordinate lay before the `update` stage, noise and scale apart."""
        low = high = seen
        for defense in reversed(self.defenses):
            low, high = defense.interval(low, high, seen)
        return low, high

    def message_bytes(self, shared: Update, clients: int = 1) -> int:
        """Bytes that one of so many clients sends a round, for `shared` as the `update` stage left it."""
        sent = VALUE * sum(tensor.numel() for tensor in shared)
        for defense in self.defenses:
            sent = defense.message_bytes(shared, clients, sent)
        return sent

    def told(self, network: nn.Module) -> Mapping[str, str]:
        """Buffers of the network that one picture's gradient tells, and of which parameter: see `Defense.told`."""
        return {name: of for defense in self.defenses for name, of in defense.told(network).items()}

    def clients_seen(self, clients: int) -> int:
        """The updates of how many clients, the first of so many, are in what the server sees."""
        for defense in self.defenses:
            clients = defense.clients_seen(clients)
        return clients

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


NO_DEFENSES = Stack()


def mean(gradients: Sequence[Update]) -> Update:
    """The average of several updates."""
    return tuple(torch.stack(tensors).mean(dim=0) for tensors in zip(*gradients, strict=True))


def flatten(update: Update) -> tuple[Tensor, Callable[[Tensor], Update]]:
    """The whole update as one vector `(n,)`, and the way back to its shapes and types.

    Tensors of several types are joined in the widest. The way back returns tensors with memory of their own.
    """
    shapes = [(tensor.shape, tensor.dtype) for tensor in update]
    sizes = [tensor.numel() for tensor in update]

    def restore(vector: Tensor) -> Update:
        pieces = zip(torch.split(vector, sizes), shapes, strict=True)
        return tuple(piece.reshape(shape).to(dtype, copy=True) for piece, (shape, dtype) in pieces)

    return torch.cat([tensor.reshape(-1) for tensor in update]), restore
