"""CNN6, on which R-GAP was shown (Zhu and Blaschko 2021, arXiv 2010.07733; their code)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from invbench.models import ImageModel, training_steps
from invbench.models._layers import OneLogit
from invbench.registry import model, parameter

SLOPE = 0.2
"""Of the LeakyReLUs, below zero."""


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class CNN6(ImageModel):
    """Zhu and Blaschko's CNN6: six convolutions and one linear layer without biases, LeakyReLU 0.2, one logit.

    For two classes. A second score that is always zero makes the cross-entropy of the two the logistic loss of the one.
    PyTorch's own start. `second: 20` is their CNN6-d, whose second layer has fewer equations for its input.
    """

    training_steps: int = training_steps(2000)
    second: int = parameter(36, at_least=1, unit="channels", help="channels of the second convolution")

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        if (reason := self.unsupported(image_shape, classes)) is not None:
            raise ValueError(reason)
        inputs, height, width = image_shape
        layers: list[nn.Module] = []
        for outputs, size, stride in ((12, 4, 2), (self.second, 3, 2), (36, 3, 1), (36, 3, 1), (64, 3, 2), (128, 3, 1)):
            padding = size // 2
            layers += [nn.Conv2d(inputs, outputs, size, stride, padding, bias=False), nn.LeakyReLU(SLOPE)]
            inputs = outputs
            height, width = ((side + 2 * padding - size) // stride + 1 for side in (height, width))
        features = inputs * height * width
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, 1, bias=False), OneLogit())

    def unsupported(self, image_shape: tuple[int, int, int], classes: int) -> str | None:
        if classes == 2:
            return None
        return f"cnn6 has one logit, for two classes, and not for {classes}; `{{name: digits, labels: parity}}` has two"
