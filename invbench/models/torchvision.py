"""Any of torchvision's classifiers, by its name there: `torchvision/resnet50`."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torchvision  # type: ignore[import-untyped]
from torch import nn
from torch.overrides import TorchFunctionMode

from invbench.core.parameters import nearest_name
from invbench.models import ImageModel
from invbench.models._second_derivative import make_twice_differentiable
from invbench.registry import model, parameter


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class Torchvision(ImageModel):
    """A torchvision classifier without its weights, with torchvision's own start.

    Other than 3 channels: the first convolution is made anew. Vision transformers are made for the
    pictures' own size; no auxiliary classifiers.
    """

    variant: str = parameter(help="torchvision's name of the architecture")

    def __post_init__(self) -> None:
        if self.variant not in variants():
            near = nearest_name(self.variant, variants())
            hint = f"; nearest: {near!r}" if near else ""
            raise ValueError(f"torchvision has no classifier {self.variant!r}{hint}")

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, height, width = image_shape
        with _NumbersOnCPU() if self.variant.startswith("regnet_") else nullcontext():
            network: nn.Module = torchvision.models.get_model(
                self.variant, weights=None, num_classes=classes, **_own_settings(self.variant, height, width)
            )
        if channels != 3:
            _replace_first_convolution(network, channels)
        return make_twice_differentiable(network)

    def unsupported(self, image_shape: tuple[int, int, int], classes: int) -> str | None:
        return _refusal(self.variant, image_shape)


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


def _own_settings(variant: str, height: int, width: int) -> dict[str, Any]:
    """Keywords that only some architectures have."""
    if variant in ("googlenet", "inception_v3"):
        return {"aux_logits": False, "init_weights": True}
    if variant.startswith("vit_"):
        return {"image_size": height}
    if variant.startswith("maxvit_"):
        return {"input_size": (height, width)}
    return {}


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
