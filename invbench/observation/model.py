"""What crosses the wall in game `model`: a trained model, as weights or behind queries, and one class asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.observation._base import Answer, Observation
from invbench.observation.update import PublicDefense

_ROUNDING = 1e-3  # what arithmetic may leave a picture outside of [0, 1]


class QueriesSpent(Exception):
    """A query beyond the budget: nothing of it was answered."""


@dataclass(frozen=True, eq=False)
class ModelPublic:
    """What everybody knows of one cell of game `model` before anything is seen.

    `network` is the model's architecture on the meta device. `protocol`: `white-box` grants weights; `black-box` grants
    answers to `queries` pictures a class, which are `confidences` or the `label` alone. `reference`: the attacker's own
    pictures `(N, C, H, W)` in [0, 1], all of the last `known_classes` classes, on which the model is not trained.
    """

    model: str
    network: nn.Module
    image_shape: tuple[int, int, int]  # (C, H, W)
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    protocol: str = "white-box"
    queries: int | None = None
    answers: str = "confidences"
    defenses: tuple[PublicDefense, ...] = ()
    reference: Tensor | None = None
    known_classes: int = 0

    @property
    def weights_granted(self) -> bool:
        return self.queries is None

    def softmax_regression(self) -> tuple[str, nn.Linear] | None:
        """Name and layer of the only layer where the model is softmax regression on pixels; None where it is not."""
        leaves = [(name, m) for name, m in self.network.named_modules() if not list(m.children())]
        linear = [(name, m) for name, m in leaves if isinstance(m, nn.Linear)]
        plain = all(isinstance(m, nn.Linear | nn.Flatten) for _, m in leaves)
        if len(linear) != 1 or not plain or linear[0][1].out_features != self.classes or linear[0][1].bias is None:
            return None
        return linear[0]


@dataclass(frozen=True, eq=False)
class Confidences:
    """A network as it answers: pictures in [0, 1] to confidences `(N, classes)`, which `defended` may change."""

    network: nn.Module
    mean: Tensor
    std: Tensor
    defended: Callable[[Tensor], Tensor] | None = None

    def __call__(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            told: Tensor = self.network((images.float() - self.mean) / self.std).softmax(dim=1)
            return told if self.defended is None else self.defended(told)


@dataclass(eq=False)
class Oracle:
    """A model behind a counter: answers pictures in [0, 1], each of which is one query of `budget`.

    What it holds privately is the owner's: an honest attack calls it and reads its counts, as it draws of a generator.
    """

    budget: int
    label_alone: bool
    _model: Confidences
    asked: int = 0

    @property
    def left(self) -> int:
        """Queries that are left."""
        return self.budget - self.asked

    def __call__(self, images: Tensor) -> Tensor:
        """Of pictures `(N, C, H, W)` the confidences `(N, classes)`, or the likeliest classes `(N,)` alone.

        QueriesSpent where fewer than N queries are left: then none is counted, and nothing is answered.
        """
        if len(images) > self.left:
            raise QueriesSpent(f"{len(images)} queries asked, {self.left} of {self.budget} left")
        self.asked += len(images)
        told = self._model(images)
        return told.argmax(dim=1) if self.label_alone else told


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelObservation(Observation[ModelPublic]):
    """One class of which a picture is wanted, and the model, which is the same in all of a cell (game `model`).

    `model`: a fresh copy of the trained network, where the protocol grants its weights, else None; `oracle`: where it
    grants queries, else None. Networks see normalised pictures; `oracle` takes them in [0, 1].
    """

    target: int
    device: torch.device
    model: nn.Module | None = None
    oracle: Oracle | None = None

    def released(self) -> Callable[[Tensor], Tensor]:
        """The granted network on pictures in [0, 1]: class scores `(N, classes)`, differentiable."""
        network, mean, std = self.model, *self.channel_constants()
        if network is None:
            raise ValueError("the protocol grants no weights")
        return lambda images: network((images - mean) / std)

    def channel_constants(self) -> tuple[Tensor, Tensor]:
        """Normalisation constants `mean, std`, each `(C, 1, 1)`."""
        constants = (self.public.mean, self.public.std)
        mean, std = (torch.tensor(c, dtype=torch.float32, device=self.device).reshape(-1, 1, 1) for c in constants)
        return mean, std

    def mean_grey(self) -> Tensor:
        """The picture `(C, H, W)` in [0, 1] that a network sees as 0: every pixel at its channel's public mean."""
        return self.channel_constants()[0].expand(self.public.image_shape).clone()

    def nothing(self, reason: str) -> Inversion:
        """The answer of an attack that has none: no picture, and why."""
        return Inversion(image=None, notes=(reason,))

    def complaint(self, answer: object) -> str | None:
        """As of every observation, and of an `Inversion` what is not as it says of itself."""
        if not isinstance(answer, Inversion):
            return super().complaint(answer) or f"must be an Inversion, not {type(answer).__name__}"
        return answer.complaint(self.public)


@dataclass(frozen=True, eq=False)
class Inversion(Answer):
    """An attack's answer for one class: a finite picture `(C, H, W)` in [0, 1], None where it has none.

    `weights`: what it holds for the model's own weights, by parameter, where it stole them.
    """

    image: Tensor | None
    weights: Mapping[str, Tensor] | None = None

    def complaint(self, public: ModelPublic) -> str | None:
        """What is not as said above, in words; None where all is."""
        if self.image is None:
            return None
        if type(self.image) is not Tensor or not self.image.is_floating_point():
            return f"image must be a tensor of floats, not {type(self.image).__name__}"
        if tuple(self.image.shape) != tuple(public.image_shape):
            return f"image must be {tuple(public.image_shape)}, not {tuple(self.image.shape)}"
        if not bool(self.image.isfinite().all()):
            return "its image is not finite"
        low, high = (float(edge) for edge in self.image.aminmax())
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            return f"its image goes from {low:.4g} to {high:.4g}, not from 0 to 1"
        return self._weights_complaint(public)

    def _weights_complaint(self, public: ModelPublic) -> str | None:
        if self.weights is None:
            return None
        if not isinstance(self.weights, Mapping):
            return f"weights must be a mapping of tensors by parameter, not {type(self.weights).__name__}"
        shapes = {name: tuple(values.shape) for name, values in public.network.named_parameters()}
        given = {name: tuple(getattr(values, "shape", ())) for name, values in self.weights.items()}
        wrong = next((name for name in given if given[name] != shapes.get(name)), None)
        return None if wrong is None else f"weights: {wrong!r} is {given[wrong]}, the model's is {shapes.get(wrong)}"
