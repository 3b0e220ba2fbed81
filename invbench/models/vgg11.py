"""Configuration A of Simonyan and Zisserman 2015 (arXiv 1409.1556, table 1)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from invbench.models import ImageModel
from invbench.models._layers import ACTIVATIONS, Activation, Norm, normalisation, start_like_he, too_small
from invbench.registry import model, parameter

STAGES = ((1,), (2,), (4, 4), (8, 8), (8, 8))
"""Channels of the convolutions before each 2 x 2 max pooling, in multiples of `width`."""


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class VGG11(ImageModel):
    """VGG-11: eight 3 x 3 convolutions without normalisation, five max poolings, one linear layer.

    One linear layer stands for the paper's three, as is usual for CIFAR-10: their 120 million weights
    would be all of the update. `torchvision/vgg11` is the paper's own. Start: He et al. 2015.
    """

    norm: Norm = parameter("none", later=True, help="normalisation after each convolution")
    activation: Activation = parameter("relu", later=True, help="after each convolution and its normalisation")
    width: int = parameter(64, later=True, at_least=1, unit="channels", help="channels of the first convolution")

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        inputs, height, width = image_shape
        layers: list[nn.Module] = []
        for stage in STAGES:
            for factor in stage:
                outputs = self.width * factor
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), *normalisation(self.norm, outputs)]
                layers.append(ACTIVATIONS[self.activation]())
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        features = inputs * (height // 32) * (width // 32)
        network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, classes))
        start_like_he(network)
        return network

    def unsupported(self, image_shape: tuple[int, int, int], classes: int) -> str | None:
        return too_small(image_shape, 32, "pools by 2 five times")
