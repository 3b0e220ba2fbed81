"""The sigmoid LeNet on which deep leakage was first shown (Zhu et al. 2019, arXiv 1906.08935, section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from torch import nn

from invbench.models import ImageModel, training_steps
from invbench.models._layers import ACTIVATIONS, POOLS, Activation, Norm, normalisation, skipped, too_small
from invbench.registry import model, parameter

HALVING = 2
"""Convolutions, from the first one, that halve the picture."""


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class LeNet(ImageModel):
    """Zhu et al.'s LeNet: three 5 x 5 convolutions of 12 channels and one linear layer.

    Every weight and bias of these is drawn from uniform(-0.5, 0.5), in the order of the layers, whatever the
    activation. So wide a start suits a sigmoid: with `relu` it explodes, and training hardly leaves chance. One that is
    to learn something with `relu` has `start: pytorch`. `norm` and `skip` come before the activation:
    act(norm(conv x) + x); a normalisation starts as the identity.
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
    width: int = parameter(12, later=True, at_least=1, unit="channels", help="channels of each convolution")
    depth: int = parameter(
        3, later=True, at_least=1, at_most=1000, unit="convolutions", help="number of convolutions; two of them halve"
    )
    bias: bool = parameter(True, later=True, help="give every convolution and the linear layer a bias")
    norm: Norm = parameter("none", later=True, help="normalisation after each convolution")
    skip: bool = parameter(
        False, later=True, help="add their input to what the convolutions give that do not halve: from the third on"
    )

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, height, width = image_shape
        layers: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise([channels, *[self.width] * self.depth])):
            layers += self._convolution(inputs, outputs, halves=index < HALVING)
        features = self.width * self._shrunk(height) * self._shrunk(width)
        network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, classes, bias=self.bias))
        for layer in network.modules() if self.start == "uniform" else ():
            for values in layer.parameters(recurse=False) if isinstance(layer, nn.Conv2d | nn.Linear) else ():
                nn.init.uniform_(values, -0.5, 0.5)
        return network

    def unsupported(self, image_shape: tuple[int, int, int], classes: int) -> str | None:
        if self.pool == "stride":
            return None
        often = "twice" if self._halvings == 2 else "once"
        return too_small(image_shape, 2**self._halvings, f"pools by 2 {often}")

    def _convolution(self, inputs: int, outputs: int, *, halves: bool) -> list[nn.Module]:
        stride = 2 if halves and self.pool == "stride" else 1
        convolution = nn.Conv2d(inputs, outputs, 5, stride, padding=2, bias=self.bias)
        layers = skipped([convolution, *normalisation(self.norm, outputs)], skip=self.skip and not halves)
        layers.append(ACTIVATIONS[self.activation]())
        return [*layers, POOLS[self.pool](2)] if halves and self.pool != "stride" else layers

    @property
    def _halvings(self) -> int:
        return min(self.depth, HALVING)

    def _shrunk(self, side: int) -> int:
        """A side after the halvings: a stride rounds up, pooling rounds down."""
        factor = 1 << self._halvings
        return -(-side // factor) if self.pool == "stride" else side // factor
