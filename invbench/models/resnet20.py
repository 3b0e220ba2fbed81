"""The 20-layer residual network for CIFAR-10 (He et al. 2016, arXiv 1512.03385, section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from invbench.models import ImageModel
from invbench.models._layers import Activation, Norm
from invbench.models._residual import Kind, residual_network, small_stem
from invbench.registry import model, parameter


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class ResNet20(ImageModel):
    """ResNet-20: three blocks each of 16, 32 and 64 channels.

    Shortcuts that change shape are 1 x 1 convolutions (the paper's option B), as in Geiping et al. 2020:
    272,474 parameters for CIFAR-10, where the paper's option A has 269,722; without `skip` there are none of them, and
    269,722 again. Start: He et al. 2015, whatever the settings: without skips or without normalisation scores may
    grow or vanish with depth.
    """

    skip: bool = parameter(True, later=True, help="add each block's input to what it gives; false: a plain network")
    norm: Norm = parameter("batch", later=True, help="normalisation after each convolution")
    width: int = parameter(16, later=True, at_least=1, unit="channels", help="channels of the first third of blocks")
    depth: int = parameter(
        3, later=True, at_least=1, at_most=1000, unit="blocks", help="blocks of each of the three widths"
    )
    activation: Activation = parameter("relu", later=True, help="after each normalised convolution, or after its sum")

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        kind = Kind(self.norm, self.activation, self.skip)
        widths = [self.width * factor for factor in (1, 2, 4)]
        return residual_network(small_stem(image_shape[0], self.width, kind), widths, self.depth, classes, kind)
