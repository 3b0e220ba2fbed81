"""The 20-layer residual network for CIFAR-10 (He et al. 2016, arXiv 1512.03385, section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from invbench.models import ImageModel
from invbench.models._residual import residual_network, small_stem
from invbench.registry import model


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class ResNet20(ImageModel):
    """ResNet-20: three blocks each of 16, 32 and 64 channels.

    Shortcuts that change shape are 1 x 1 convolutions (the paper's option B), as in Geiping et al. 2020:
    272,474 parameters for CIFAR-10, where the paper's option A has 269,722.
    """

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        return residual_network(small_stem(image_shape[0], 16), [16, 32, 64], 3, classes)
