"""Any of torchvision's classifiers, by its name there: `torchvision/resnet50`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torchvision  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from invbench.core.parameters import nearest_name
from invbench.models import ImageModel
from invbench.models._published import CLASSES, published_weights, refusal
from invbench.models._second_derivative import make_twice_differentiable
from invbench.registry import model, parameter

NORMALISED = "they expect ImageNet's mean and standard deviation, and pictures are normalised by the data set's own"


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class Torchvision(ImageModel):
    """A torchvision classifier with torchvision's own start, or with weights that it publishes.

    Other than 3 channels: the first convolution is made anew. Vision transformers are made for the
    pictures' own size; no auxiliary classifiers. `published: IMAGENET1K_V1` fetches those weights once, checks their
    hash and reads numbers alone. They score the 1000 classes of ImageNet-1k, of pictures in colour.
    """

    variant: str = parameter(help="torchvision's name of the architecture")
    published: str | None = parameter(
        None, later=True, help="torchvision's name of published weights, such as IMAGENET1K_V1, which are downloaded"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant not in variants():
            near = nearest_name(self.variant, variants())
            hint = f"; nearest: {near!r}" if near else ""
            raise ValueError(f"torchvision has no classifier {self.variant!r}{hint}")
        if self.published is None:
            return
        if self.weights is not None:
            raise ValueError("torchvision: `weights` and `published` are two sets of weights; give one")
        if (why := refusal(self.variant, self.published)) is not None:
            raise ValueError(f"torchvision: {why}")

    @property
    def origin(self) -> str | None:
        return super().origin if self.published is None else f"torchvision's {self.published}"

    def given_weights(self) -> Mapping[str, Tensor] | None:
        return super().given_weights() if self.published is None else published_weights(self.variant, self.published)

    def weights_notes(self) -> tuple[str, ...]:
        return super().weights_notes() if self.published is None else (f"weights of {self.origin}: {NORMALISED}",)

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, height, width = image_shape
        with _NumbersOnCPU() if self.variant.startswith("regnet_") else nullcontext():
            network: nn.Module = torchvision.models.get_model(
                self.variant, weights=None, num_classes=classes, **self._own_settings(height, width)
            )
        if channels != 3:
            _replace_first_convolution(network, channels)
        return make_twice_differentiable(network)

    def unsupported(self, image_shape: tuple[int, int, int], classes: int) -> str | None:
        if self.published is not None and (classes != CLASSES or image_shape[0] != 3):
            there = f"{image_shape[0]} channels and {classes} classes"
            return f"torchvision's {self.published} takes 3 channels and scores {CLASSES} classes; here are {there}"
        return _refusal(self.variant, image_shape)

    def _own_settings(self, height: int, width: int) -> dict[str, Any]:
        """Keywords that only some architectures have."""
        if self.variant in ("googlenet", "inception_v3"):
            # Their published weights were trained on another scale of pictures, to which the network then brings them.
            return {"aux_logits": False, "init_weights": True, "transform_input": self.published is not None}
        if self.variant.startswith("vit_"):
            return {"image_size": height}
        if self.variant.startswith("maxvit_"):
            return {"input_size": (height, width)}
        return {}


@cache
def variants() -> tuple[str, ...]:
    """The classifiers of the installed torchvision."""
    return tuple(torchvision.models.list_models(module=torchvision.models))


@cache
def _refusal(variant: str, image_shape: tuple[int, int, int]) -> str | None:
    """What the architecture itself says of such pictures, tried without weights on the meta device."""
    with torch.device("meta"):
        try:
            network = Torchvision(variant=variant).build(image_shape, 2).eval()
            network(torch.empty(1, *image_shape))
        except (AssertionError, RuntimeError, ValueError) as error:
            size = " x ".join(str(side) for side in image_shape)
            return f"torchvision's {variant} does not take {size} pictures: {str(error).splitlines()[0]}"
    return None


def _replace_first_convolution(network: nn.Module, channels: int) -> None:
    """Give the first convolution `channels` inputs: same shape else, Gaussian weights of the old ones' spread."""
    name, old = next((name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d))
    new = nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    with torch.no_grad():
        new.weight.copy_(torch.randn_like(new.weight) * old.weight.std())
        if new.bias is not None and old.bias is not None:
            new.bias.copy_(old.bias)
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, new)


class _NumbersOnCPU(TorchFunctionMode):
    """Keep small tables of numbers off the meta device: RegNet computes its widths in tensors and reads them."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        device = {"device": "cpu"} if func in (torch.arange, torch.tensor) else {}
        return func(*args, **{**(kwargs or {}), **device})
