"""The 8-layer ConvNet of Geiping et al. 2020 (arXiv 2003.14053, appendix; their code's ConvNet64)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from invbench.models import ImageModel
from invbench.models._layers import ACTIVATIONS, POOLS, Activation, Norm, Pool, normalisation, skipped, too_small
from invbench.registry import model, parameter

FACTORS = (1, 2, 2, 4)
"""Channels of the first convolutions in multiples of `width`; later ones have as many as the last of these."""


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class ConvNet(ImageModel):
    """Geiping et al.'s ConvNet: eight 3 x 3 convolutions, each normalised and rectified, and one linear layer.

    Channels are 1, 2, 2, 4, 4, 4, 4, 4 times `width`; 3 x 3 max pooling follows the sixth and the eighth. Of another
    `depth`, it follows the last and the last but two, and what comes after the fourth has 4 times `width`, too.
    `skip` goes around each convolution that keeps the number of channels, with its normalisation:
    act(norm(conv x) + x). PyTorch's own start.
    """

    width: int = parameter(64, at_least=1, unit="channels", help="channels of the first convolution")
    norm: Norm = parameter("batch", help="normalisation after each convolution")
    depth: int = parameter(8, later=True, at_least=1, at_most=1000, unit="convolutions", help="number of convolutions")
    activation: Activation = parameter("relu", later=True, help="after each convolution and its normalisation")
    pool: Pool = parameter("max", later=True, help="how squares of 3 x 3 become one number")
    bias: bool = parameter(True, later=True, help="give every convolution and the linear layer a bias")
    skip: bool = parameter(False, later=True, help="add each convolution's input to what it gives, where shapes agree")

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, height, width = image_shape
        factors = [*FACTORS, *[FACTORS[-1]] * self.depth][: self.depth]
        sizes = [channels, *(self.width * factor for factor in factors)]
        layers: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise(sizes)):
            convolved = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=self.bias), *normalisation(self.norm, outputs)]
            layers += skipped(convolved, skip=self.skip and inputs == outputs and index > 0)
            layers.append(ACTIVATIONS[self.activation]())
            if self._pools_after(index):
                layers.append(POOLS[self.pool](3))
        features = sizes[-1] * (height // self._shrinks) * (width // self._shrinks)
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, classes, bias=self.bias))

    def unsupported(self, image_shape: tuple[int, int, int], classes: int) -> str | None:
        return too_small(image_shape, self._shrinks, "pools by 3 twice" if self._shrinks == 9 else "pools by 3 once")

    def _pools_after(self, index: int) -> bool:
        return index in (self.depth - 3, self.depth - 1)

    @property
    def _shrinks(self) -> int:
        """By how much all pooling together makes a side smaller."""
        return 9 if self.depth >= 3 else 3
