"""Fully connected layers on the flattened picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from invbench.models import ImageModel, training_steps
from invbench.models._layers import ACTIVATIONS, Activation, Norm, normalisation, skipped
from invbench.registry import model, parameter


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class MLP(ImageModel):
    """A multi-layer perceptron of `depth` equal hidden layers. PyTorch's own start.

    `width=1024, depth=3` is the one of Geiping et al. 2020 (arXiv 2003.14053). `norm` and `skip` come before the
    activation: act(norm(W h + b) + h), the skip from the second hidden layer on.
    """

    training_steps: int = training_steps(2000)
    width: int = parameter(256, at_least=1, unit="units", help="size of each hidden layer")
    depth: int = parameter(2, at_least=1, at_most=1000, unit="layers", help="number of hidden layers")
    activation: Activation = parameter("relu", help="after each hidden layer")
    bias: bool = parameter(True, help="give every layer a bias; with one, the first layer's input can be read exactly")
    norm: Norm = parameter("none", later=True, help="normalisation of each hidden layer's units")
    skip: bool = parameter(False, later=True, help="add its input to each hidden layer but the first")

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        sizes = [math.prod(image_shape)] + [self.width] * self.depth
        layers: list[nn.Module] = [nn.Flatten()]
        for index, (inputs, outputs) in enumerate(pairwise(sizes)):
            mapped = [nn.Linear(inputs, outputs, bias=self.bias), *normalisation(self.norm, outputs, flat=True)]
            layers += skipped(mapped, skip=self.skip and index > 0)
            layers.append(ACTIVATIONS[self.activation]())
        return nn.Sequential(*layers, nn.Linear(self.width, classes, bias=self.bias))
