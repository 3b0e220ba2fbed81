"""The 8-layer ConvNet of Geiping et al. 2020 (arXiv 2003.14053, appendix; their code's ConvNet64)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from torch import nn

from invbench.models import ImageModel
from invbench.models._layers import too_small
from invbench.registry import model, parameter

Norm = Literal["batch", "group", "none"]


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class ConvNet(ImageModel):
    """Geiping et al.'s ConvNet: eight 3 x 3 convolutions, each normalised and rectified, and one linear layer.

    Channels are 1, 2, 2, 4, 4, 4, 4, 4 times `width`; 3 x 3 max pooling follows the sixth and the eighth.
    PyTorch's own start.
    """

    width: int = parameter(64, at_least=1, unit="channels", help="channels of the first convolution")
    norm: Norm = parameter("batch", help="normalisation after each convolution")

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, height, width = image_shape
        sizes = [channels] + [self.width * factor for factor in (1, 2, 2, 4, 4, 4, 4, 4)]
        layers: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise(sizes)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), *_normalisation(self.norm, outputs), nn.ReLU()]
            if index in (5, 7):
                layers.append(nn.MaxPool2d(3))
        features = sizes[-1] * (height // 9) * (width // 9)
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, classes))

    def unsupported(self, image_shape: tuple[int, int, int], classes: int) -> str | None:
        return too_small(image_shape, 9, "pools by 3 twice")


def _normalisation(norm: Norm, channels: int) -> list[nn.Module]:
    """Group normalisation has 32 groups (Wu and He 2018, arXiv 1803.08494), fewer where 32 does not divide."""
    if norm == "batch":
        return [nn.BatchNorm2d(channels)]
    return [nn.GroupNorm(math.gcd(32, channels), channels)] if norm == "group" else []
