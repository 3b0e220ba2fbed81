"""The 18-layer residual network (He et al. 2016, arXiv 1512.03385, table 1)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from invbench.models import ImageModel
from invbench.models._residual import residual_network, small_stem
from invbench.registry import model

SMALL = 64
"""Pictures of up to this many pixels a side keep their resolution in the stem."""


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class ResNet18(ImageModel):
    """ResNet-18: two blocks each of 64, 128, 256 and 512 channels.

    The paper's stem (7 x 7, stride 2, then 3 x 3 max pooling, stride 2) would leave 8 x 8 of a 32 x 32
    picture, so up to 64 pixels a side it is one 3 x 3 convolution, as is usual for CIFAR-10.
    """

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, height, width = image_shape
        stem = small_stem(channels, 64) if max(height, width) <= SMALL else _large_stem(channels)
        return residual_network(stem, [64, 128, 256, 512], 2, classes)


def _large_stem(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
    )
