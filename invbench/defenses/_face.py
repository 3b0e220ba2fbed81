"""What a defence is asked, at which stages, what it answers by default, and what it is given beside the value."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor

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

    @property
    def redraws(self) -> bool:
        """Whether the variance that its `seen_as` adds is of draws that are new in each round.

        Then the mean of R rounds of one batch at the same weights has an R-th of it; what a rule leaves open (rounding
        to the nearest level) stays as it is.
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

    def clashes(self, before: Sequence[Defense]) -> str | None:
        """Why it cannot stand in a stack behind these defences, whose effect or its own would be lost, or None."""
        return None

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
        """Buffers of the network that an attacker fills, each the name of a fully connected layer with a bias.

        What a client drew is not known. The gradients of such a layer tell what the draw did to its outputs' error
        signals (`updates/signals.py`), which stand in the buffer, a row a picture, so that this layer and those below
        can be simulated without the draw.
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

        `before`: what the defences listed earlier say of a message in which no coordinate is zero, 4 bytes a value
        without any. The last that says something decides what is sent; of those who leave coordinates out, the least.
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
