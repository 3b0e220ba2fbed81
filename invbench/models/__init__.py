"""Models: one file each, a frozen dataclass marked `@model(data=...)`.

Of pictures: an `ImageModel` builds an `nn.Module`. Of tables: a `TableModel` states what it answers of a person, a
`TableLearner` is trained on rows and gives one. Of text: a `TextModel` has tokens and builds an `nn.Module`
(`language/network.py`).
A network of pictures takes normalised images `(N, C, H, W)` and returns class scores `(N, classes)`. It computes
nothing in place and chooses no branch by a value, so that its gradient can be differentiated again and
mapped over lanes (`torch.func`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invbench.core.regression import Regression
from invbench.registry import parameter

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn

    from invbench.core.training import Training
    from invbench.observation import Tokenizer

UNKNOWN = "who trained them on what is not known here; the pictures attacked may be among it"


def training_steps(default: int) -> Any:
    """The field `training_steps` with an architecture's own default: more where a step is cheap."""
    return parameter(default, at_least=1, unit="batches of 32", help="how long a trained victim trains")


@dataclass(frozen=True, kw_only=True)
class ImageModel(ABC):
    """An architecture with its settings; pictures' shape and class count come with the data."""

    trained: bool = parameter(False, help="train the victim on the data set's training pool before the attack")
    training_steps: int = training_steps(200)
    weights: Path | None = parameter(
        None,
        later=True,
        help="a file of safetensors: the victim's own weights, by the names of the network's state_dict, where they are"
        " not drawn; with `trained` it is trained from them on",
    )

    def __post_init__(self) -> None:
        """ValueError where `weights` is no file of safetensors."""
        if self.weights is not None:
            from invbench.models._weights import check_file

            check_file(self.weights)

    @property
    def content(self) -> str | None:
        """SHA-256 of the file of weights; None without one."""
        if self.weights is None:
            return None
        from invbench.models._weights import content_of

        return content_of(self.weights)

    @property
    def origin(self) -> str | None:
        """Where weights come from that are not drawn here, in words; None where they are drawn."""
        return None if self.weights is None else self.weights.name

    def given_weights(self) -> Mapping[str, Tensor] | None:
        """Those weights by name, buffers among them, float32 on the CPU; None where they are drawn.

        ValueError where they cannot be had.
        """
        if self.weights is None:
            return None
        from invbench.models._weights import read

        return read(self.weights)

    def weights_notes(self) -> tuple[str, ...]:
        """What a reader of the numbers must know of those weights."""
        if self.weights is None:
            return ()
        from invbench.models._weights import rounded

        return (f"weights of {self.origin}: {UNKNOWN}", *rounded(self.weights))

    @abstractmethod
    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        """The network for pictures `(C, H, W)`, its weights drawn from torch's global generator.

        The caller seeds that generator (`build_victim`), or builds under `torch.device("meta")`.
        """

    @property
    def pretrains(self) -> bool:
        """Whether `pretrain` does anything."""
        return False

    def pretrain(self, network: nn.Module, images: Tensor, generator: torch.Generator, training: Training) -> None:
        """What is done to a network before it is trained on labels, in place: nothing by default.

        `images` `(N, C, H, W)`: its training pictures, normalised. Every draw is of `generator` (CPU). `training`: how
        it will be trained; gradients of these pictures are taken as it says, behind which defences act.
        """
        return None

    def unsupported(self, image_shape: tuple[int, int, int], classes: int) -> str | None:
        """Why this architecture cannot take such pictures, or None. Cheap: no weights are made."""
        return None


class TableModel(ABC):
    """A released model of people's attributes, which whoever holds it can evaluate."""

    @abstractmethod
    def log_likelihood(self, output: Any, attributes: Mapping[str, Any]) -> float:
        """Log density of an output given every attribute, up to a constant that no attribute changes."""

    def output(self, attributes: Mapping[str, Any], generator: np.random.Generator) -> float:
        """What the owner of a published model releases of a person; of one that was trained, the rows say it."""
        raise NotImplementedError(f"{type(self).__name__} draws no output")

    def log_counts(self, output: Any, attributes: Mapping[str, Any], sensitive: str) -> float:
        """As `log_likelihood`, from the numbers of training rows at a tree's leaves."""
        raise NotImplementedError(f"{type(self).__name__} has no leaves")

    def error(self, output: Any, attributes: Mapping[str, Any]) -> float:
        """How far its prediction is from the output: absolute for a number, 1 for a wrong label; NaN: it has none."""
        return float("nan")


@dataclass(frozen=True, eq=False)
class Rows:
    """What a model of a table is trained on: people, `target` and the `features` that predict it, by name.

    `categories`: the values of each attribute that is a category; the others are numbers, None where missing.
    """

    people: Sequence[Mapping[str, Any]]
    target: str
    features: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]


def as_it_is(regression: Regression) -> Regression:
    """No defence."""
    return regression


class TableLearner(ABC):
    """A model that is trained on rows: a regression where the target is a number, else a classification."""

    has_leaves: bool = False
    """Whether it has leaves, whose counts a protocol may grant."""

    is_least_squares: bool = False
    """Whether its regression is one of least squares, which defences change at stage `regression`."""

    @abstractmethod
    def fit(self, rows: Rows, defended: Callable[[Regression], Regression] = as_it_is) -> TableModel:
        """The model trained on these rows; `defended`: what the declared defences make of a regression."""


@dataclass(frozen=True, kw_only=True)
class TextModel(ABC):
    """A language model's architecture with its settings: tokens `(B, T)` to logits `(B, T, vocabulary)`.

    Its network has a `context`, the most tokens that it reads, and `step(tokens, past)` (`language/network.py`).
    """

    released = False
    """Whether it has weights before anything here trains it."""

    context: int
    trained: bool = parameter(True, help="train the victim on the data set's text before the attack")
    training_steps: int = parameter(
        4000, at_least=1, unit="batches of 8", help="how long a trained victim trains, in windows of its context"
    )

    @abstractmethod
    def build(self, vocabulary: int) -> nn.Module:
        """The network, its weights drawn from torch's global generator, which the caller seeds."""

    @abstractmethod
    def tokens(self, text: str) -> Tokenizer:
        """The tokens that it reads, learned from this text where they are learned."""

    def unsupported(self) -> str | None:
        """Why there is no such network, or None."""
        return None
