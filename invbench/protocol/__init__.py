"""Protocols: what a client shares, or what is granted of a trained model. One file each.

A protocol is a frozen dataclass marked `@protocol(games=..., axes=...)`: the games that it serves and the axes of the
matrix that it adds to theirs. Its settings are its games' own: labels, clients, candidates, budgets. One that shares
updates has the base `UpdateProtocol`; games run it for the client, attacks simulate the client with it
(`updates/simulation.py`). Protocols know neither defences nor data.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch

from invbench.observation import Tensors, Update
from invbench.registry import parameter

if TYPE_CHECKING:
    from torch import Tensor, nn

Gradient = Callable[["nn.Module", Tensors, Tensors, "Tensor", "Tensor"], Update]
"""`(network, weights, buffers, images, labels)` to the mean gradient over a batch, one tensor a parameter."""


class Protocol:
    """What every protocol has: nothing but its settings."""


@dataclass(frozen=True, eq=False)
class Shared:
    """What a client shares: `update`, one tensor a parameter, in the order of `network.named_parameters()`."""

    update: Update


@dataclass(frozen=True, eq=False)
class Multiple:
    """What is shared as a multiple of one mean gradient, of the client's whole batch at the global weights.

    `exact`: it is `factor` times that gradient, up to rounding. Otherwise `factor` is the best that can be said, as the
    sum of the rates of several short steps. Never 0: an attacker divides by it.
    """

    factor: float
    exact: bool

    def __post_init__(self) -> None:
        if not math.isfinite(self.factor) or self.factor == 0:
            raise ValueError(f"shares {self.factor:g} times a gradient; the factor has to be finite and not 0")


@dataclass(frozen=True, kw_only=True)
class UpdateProtocol(Protocol, ABC):
    """A round in which each client computes an update of its own batch, and the server sees their mean."""

    labels: Literal["known", "hidden"] = parameter("known", help="whether the attacker is given the batch's labels")
    clients: int = parameter(
        1, later=True, at_least=1, unit="clients", help="whose updates are averaged before the server sees them"
    )
    batch_norm: Literal["eval", "train"] = parameter(
        "eval", later=True, help="BatchNorm with its running statistics, or with those of the client's own batch"
    )
    batch_statistics: Literal["before", "after", "given"] = parameter(
        "before",
        later=True,
        help="what is seen of BatchNorm, undefended: its buffers as before the round, those that the client leaves too,"
        " or the batch's own statistics outright",
    )
    precision: Literal["float32", "tf32", "bfloat16"] = parameter(
        "float32", later=True, help="to which clients round what their products multiply, see protocol/_precision.py"
    )
    public: int = parameter(
        0, later=True, at_least=0, unit="pictures", help="the attacker's own, labelled: not attacked, not trained on"
    )

    property_share: float = parameter(
        1.0,
        later=True,
        above=0,
        at_most=1,
        help="game `batch-property`: share of a batch that has the property, at least one, where any has it",
    )

    model_check: bool = parameter(
        False, later=True, help="clients compare hashes of the models that they were given before they share anything"
    )

    rounds: int = parameter(
        1,
        later=True,
        at_least=1,
        at_most=10_000,
        unit="rounds",
        help="in which a client shares an update of the same batch, at the same weights and behind new draws",
    )
    server_lr: float = parameter(
        0.0, later=True, at_least=0, help="rate of the server's step after each of these rounds; 0: the weights stay"
    )

    reduction: Literal["mean", "sum"] = parameter(
        "mean",
        later=True,
        help="what a client's loss makes of its pictures' losses; a sum over B is B times their mean",
    )
    loss_scale: float = parameter(1.0, later=True, above=0, help="factor on a client's loss, beside `reduction`")
    loss: Literal["known", "hidden"] = parameter(
        "known", later=True, help="whether the attacker is told of `reduction` and `loss_scale`, or takes a plain mean"
    )

    @abstractmethod
    def share(
        self,
        network: nn.Module,
        weights: Tensors,
        buffers: Tensors,
        images: Tensor,
        labels: Tensor,
        draws: Tensors,
        gradient: Gradient,
    ) -> Shared:
        """What one client shares.

        The network's own weights and buffers are not read: `weights` and `buffers` are, by name. `images`: normalised
        `(B, C, H, W)`; `labels`: `(B,)` int64, or probabilities `(B, classes)`. `draws`: its random choices (`draw`).
        `gradient`: how the mean gradient of a batch is computed, behind the defences that act on examples.
        Differentiable with respect to every tensor, and fit for `torch.func.vmap`.
        """

    def draw(self, batch_size: int, generator: torch.Generator) -> Tensors:
        """The random choices of one client with such a batch, from its own stream; none by default."""
        return {}

    def multiple(self, batch_size: int) -> Multiple:
        """What is shared as a multiple of one gradient, of a client with such a batch.

        By default not exact: closed forms, which read gradients, are `unsupported`; whoever takes the update for one
        gradient takes it as it is.
        """
        return Multiple(1.0, exact=False)

    def server_step(self, batch_size: int) -> float:
        """How far the server goes along what it sees after a round: against a gradient, along a difference."""
        return math.copysign(self.server_lr, -self.multiple(batch_size).factor)

    def local_batch(self, batch_size: int) -> int:
        """Pictures of one step's loss, of a client with such a batch."""
        return batch_size

    def on_loss(self, pictures: int) -> float:
        """The factor by which the gradient of one step's loss is more than the mean over so many pictures."""
        return self.loss_scale * (pictures if self.reduction == "sum" else 1)

    def shared_as(self, batch_size: int) -> Multiple:
        """`multiple`, with the factor on the loss: what is shared as a multiple of one mean gradient."""
        multiple = self.multiple(batch_size)
        return replace(multiple, factor=multiple.factor * self.on_loss(self.local_batch(batch_size)))

    def step(self, gradient: Gradient) -> Gradient:
        """The gradient of the client's own loss, of that of the mean loss (behind what defences do to examples)."""
        if self.reduction == "mean" and self.loss_scale == 1:
            return gradient

        def of_loss(network: nn.Module, weights: Tensors, buffers: Tensors, images: Tensor, labels: Tensor) -> Update:
            factor = self.on_loss(len(images))
            return tuple(factor * slope for slope in gradient(network, weights, buffers, images, labels))

        return of_loss

    def local_steps(self, batch_size: int) -> int:
        """How many steps a client with such a batch takes, each from the weights that the last one left."""
        return 1

    @property
    def sends_weights(self) -> bool:
        """Whether what a client sends are its weights, of which the server subtracts the global ones."""
        return False

    def even(self, batch_size: int) -> bool:
        """Whether each picture of a client's batch counts as much as the others, over all of its steps."""
        return True


NO_DRAWS: Mapping[str, torch.Tensor] = {}
