"""What crosses the wall in game `update`: what is public of a cell, the update that is seen, and the guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from invbench.observation._base import Answer, Labelled, Observation, Plain, Tensors

_ROUNDING = 1e-3  # what arithmetic may leave a picture outside of [0, 1]

Update = tuple[Tensor, ...]
"""What a client shares: one tensor a parameter, in the order of `model.named_parameters()`."""


@dataclass(frozen=True, eq=False)
class PublicDefense:
    """A defence as the attacker knows it: its name and its public parameters."""

    name: str
    parameters: Mapping[str, Plain]


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
    protocol_settings: Mapping[str, Plain] = field(default_factory=dict)
    defenses: tuple[PublicDefense, ...] = ()
    clients: int = 1  # whose updates are averaged in what is seen
    reference: Labelled | None = None  # the attacker's own pictures: none of them is attacked, or trained on

    @property
    def pictures(self) -> int:
        """How many pictures the update seen was computed of, over all clients: the most that a guess may hold."""
        return self.batch_size * self.clients

    def not_one_picture(self) -> str | None:
        """Why an attack that reads a single picture cannot read the update, None where it can."""
        if self.clients == 1:
            return None if self.batch_size == 1 else f"needs batch_size 1, not {self.batch_size}"
        return f"needs one client with batch_size 1, not {self.clients} with {self.batch_size}"

    def first_layer(self) -> nn.Module | None:
        """The first layer that has weights of its own, if there is one."""
        return next((layer for layer in self.network.modules() if has_own_weight(layer)), None)

    def last_linear(self) -> tuple[str, nn.Linear] | None:
        """Name and layer of the classifier's last fully connected layer, if it gives the class scores."""
        layers = [(name, m) for name, m in self.network.named_modules() if has_own_weight(m)]
        name, layer = layers[-1] if layers else ("", None)
        return (name, layer) if isinstance(layer, nn.Linear) and layer.out_features == self.classes else None


@dataclass(frozen=True, eq=False)
class SharedRound:
    """One of several rounds: the global model that clients were given, and what the server sees of them."""

    model: nn.Module
    update: Update


DIVERGED = "the update is not finite: the clients' own computing diverged"


@dataclass(frozen=True, eq=False)
class BatchStatistics:
    """Mean and variance `(channels,)` of what one BatchNorm layer is given, over pictures and places."""

    mean: Tensor
    variance: Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class UpdateObservation(Observation[Public]):
    """One client's shared update, or the average of several clients', as the server sees it (game `update`).

    `model` is a fresh copy of the global model: no `.grad`, in the mode the client used. `update`: what the protocol
    shares, as defended, one tensor a parameter. `labels` `(B,)` only where the protocol says that they are known.
    `rounds`: all rounds, in order, where the same batch was in several; `model` and `update` are then of the first.
    `pooled`: that `update` is instead what an attacker makes of all rounds together (`updates/pooling.py`).
    `buffers_before`: what BatchNorm remembers in the global model, by buffers' names; in train mode `model` forgets it.
    `buffers_after`: the same as the client left it, where it shares that. `statistics`: those of the client's batch, by
    layers' names and with the biased variance, where they are given outright. No defence acts on these.
    """

    model: nn.Module
    update: Update
    labels: Tensor | None
    device: torch.device
    rounds: tuple[SharedRound, ...] = ()
    pooled: bool = False
    buffers_before: Tensors = field(default_factory=dict)
    buffers_after: Tensors | None = None
    statistics: Mapping[str, BatchStatistics] | None = None

    @property
    def is_finite(self) -> bool:
        """Whether every entry of the update is a number."""
        return all(bool(tensor.isfinite().all()) for tensor in self.update)

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

    def complaint(self, answer: object) -> str | None:
        """As of every observation, and of a `Guess` what is not as it says of itself."""
        return super().complaint(answer) or (answer.complaint(self.public) if isinstance(answer, Guess) else None)

    def update_of(self, layer: str) -> tuple[Tensor, Tensor | None]:
        """The shared update of one layer's weight and of its bias (None where it has none)."""
        names = [name for name, _ in self.model.named_parameters()]
        prefix = f"{layer}." if layer else ""
        weight, bias = self.update[names.index(f"{prefix}weight")], f"{prefix}bias"
        return weight, self.update[names.index(bias)] if bias in names else None


@dataclass(frozen=True, eq=False)
class Guess(Answer):
    """An attack's answer to one update: finite images `(N, C, H, W)` in [0, 1], and whole labels `(N,)` or None.

    N may be less than the pictures that the update was computed of, and never more: of more, the truth would choose
    the best. An attack ranks its candidates itself.
    """

    images: Tensor
    labels: Tensor | None = None

    def complaint(self, public: Public) -> str | None:
        """What is not as said above, in words; None where all is."""
        images, shape = self.images, public.image_shape
        if odd := _odd(images):
            return f"images must be {odd}"
        if not isinstance(images, Tensor) or not images.is_floating_point():
            return f"images must be a tensor of floats, not {_kind(images)}"
        if images.dim() != 4 or tuple(images.shape[1:]) != tuple(shape):
            return f"images must be (N, {', '.join(map(str, shape))}), not {tuple(images.shape)}"
        if len(images) > public.pictures:
            return too_many(len(images), public.pictures)
        if len(images) and not bool(images.isfinite().all()):
            return "its images are not finite"
        low, high = (float(edge) for edge in images.aminmax()) if len(images) else (0.0, 1.0)
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            return f"its images go from {low:.4g} to {high:.4g}, not from 0 to 1 (`to_unit_range` takes them there)"
        return None if self.labels is None else self._labels_complaint(self.labels)

    def _labels_complaint(self, labels: Tensor) -> str | None:
        if odd := _odd(labels):
            return f"labels must be {odd}"
        if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.is_complex():
            return f"labels must be a tensor of whole numbers, not {_kind(labels)}"
        if labels.dim() != 1 or len(labels) != len(self.images):
            return f"labels must be ({len(self.images)},), one a picture, not {tuple(labels.shape)}"
        return None


def _odd(value: object) -> str | None:
    """What a tensor must be that is none of numbers alone, which can be read without asking anybody."""
    if not isinstance(value, Tensor):
        return None
    if type(value) not in (Tensor, nn.Parameter):
        return f"a plain tensor, not of type {type(value).__name__} (`as_subclass(torch.Tensor)` makes it one)"
    if value.layout != torch.strided or value.is_nested:
        return f"a dense tensor, not one of layout {'nested' if value.is_nested else value.layout} (`to_dense()`)"
    return "a tensor with values, not one on device meta" if value.is_meta else None


def too_many(given: int, there: int) -> str:
    """What is wrong with a guess that holds more pictures than there were."""
    return f"has {given} pictures, the batch {there}; an attack ranks its candidates itself and gives the best"


def _kind(value: object) -> str:
    return f"of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__


def has_own_weight(layer: nn.Module) -> bool:
    """Whether a layer holds a `weight` itself, not only through its children."""
    return isinstance(layer._parameters.get("weight"), Tensor)
