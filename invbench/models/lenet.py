"""The sigmoid LeNet on which deep leakage was first shown (Zhu et al. 2019, arXiv 1906.08935, section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from invbench.models import ImageModel, training_steps
from invbench.models._layers import ACTIVATIONS, Activation, too_small
from invbench.registry import model, parameter

CHANNELS = 12
_POOLS: dict[str, type[nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class LeNet(ImageModel):
    """Zhu et al.'s LeNet: three 5 x 5 convolutions of 12 channels and one linear layer.

    Every weight and bias is drawn from uniform(-0.5, 0.5), in the order of the layers, whatever the
    activation. So wide a start suits a sigmoid: with `relu` it explodes, and training hardly leaves chance. One that is
    to learn something with `relu` has `start: pytorch`.
    """

    training_steps: int = training_steps(2000)
    activation: Activation = parameter("sigmoid", help="after each convolution; DLG needs a smooth one")
    pool: Literal["stride", "max", "average"] = parameter(
        "stride",
        help="how the first two convolutions halve the picture: stride 2, or 2 x 2 max or average pooling after them",
    )

    start: Literal["uniform", "pytorch"] = parameter(
        "uniform", later=True, help="weights and biases from uniform(-0.5, 0.5), or each layer's own start in PyTorch"
    )

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, height, width = image_shape
        network = nn.Sequential(
            *self._convolution(channels, halves=True),
            *self._convolution(CHANNELS, halves=True),
            *self._convolution(CHANNELS, halves=False),
            nn.Flatten(),
            nn.Linear(CHANNELS * self._quarter(height) * self._quarter(width), classes),
        )
        for values in network.parameters() if self.start == "uniform" else ():
            nn.init.uniform_(values, -0.5, 0.5)
        return network

    def unsupported(self, image_shape: tuple[int, int, int], classes: int) -> str | None:
        return None if self.pool == "stride" else too_small(image_shape, 4, "pools by 2 twice")

    def _convolution(self, inputs: int, *, halves: bool) -> list[nn.Module]:
        stride = 2 if halves and self.pool == "stride" else 1
        layers = [nn.Conv2d(inputs, CHANNELS, 5, stride, padding=2), ACTIVATIONS[self.activation]()]
        return [*layers, _POOLS[self.pool](2)] if halves and self.pool != "stride" else layers

    def _quarter(self, side: int) -> int:
        """A side after two halvings: a stride rounds up, pooling rounds down."""
        return -(-side // 4) if self.pool == "stride" else side // 4
