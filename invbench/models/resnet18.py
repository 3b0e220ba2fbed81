"""The 18-layer residual network (He et al. 2016, arXiv 1512.03385, table 1)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from invbench.models import ImageModel
from invbench.models._layers import Activation, Norm, normalisation
from invbench.models._residual import Kind, residual_network, small_stem
from invbench.registry import model, parameter

SMALL = 64
"""Pictures of up to this many pixels a side keep their resolution in the stem."""


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class ResNet18(ImageModel):
    """ResNet-18: two blocks each of 64, 128, 256 and 512 channels.

    The paper's stem (7 x 7, stride 2, then 3 x 3 max pooling, stride 2) would leave 8 x 8 of a 32 x 32
    picture, so up to 64 pixels a side it is one 3 x 3 convolution, as is usual for CIFAR-10: from 64 to 65 pixels the
    network is another one. Without `skip` the three 1 x 1 convolutions of shortcuts are left out, too. Start: He et al.
    2015, whatever the settings: without skips or without normalisation scores may grow or vanish with depth.
    """

    skip: bool = parameter(True, later=True, help="add each block's input to what it gives; false: a plain network")
    norm: Norm = parameter("batch", later=True, help="normalisation after each convolution")
    width: int = parameter(64, later=True, at_least=1, unit="channels", help="channels of the first quarter of blocks")
    depth: int = parameter(
        2, later=True, at_least=1, at_most=1000, unit="blocks", help="blocks of each of the four widths"
    )
    activation: Activation = parameter("relu", later=True, help="after each normalised convolution, or after its sum")

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, height, width = image_shape
        kind = Kind(self.norm, self.activation, self.skip)
        make = small_stem if max(height, width) <= SMALL else _large_stem
        widths = [self.width * factor for factor in (1, 2, 4, 8)]
        return residual_network(make(channels, self.width, kind), widths, self.depth, classes, kind)


def _large_stem(channels: int, width: int, kind: Kind) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False),
        *normalisation(kind.norm, width),
        kind.act(),
        nn.MaxPool2d(3, stride=2, padding=1),
    )
