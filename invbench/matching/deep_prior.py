"""Pictures as what an untrained generator makes of fixed noise; its weights are searched.

Ulyanov, Vedaldi and Lempitsky 2018 (deep image prior, arXiv 1711.10925) found that a convolutional generator fits
natural pictures before it fits noise; CI-Net (Zhang et al. 2023, ICCV) matches gradients with one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import conv2d, leaky_relu

from invbench.core import upsampling
from invbench.matching.searched import Parametrisation
from invbench.observation import UpdateObservation

LEAK = 0.1  # slope of the rectifiers below zero
_EPSILON = 1e-5  # on a variance, as in torch's own layers


@dataclass(frozen=True)
class Untrained:
    """A generator from codes `(B, latent)` to pictures `(B, C, H, W)` in [0, 1].

    A linear layer to `channels` maps of 4 to 7 pixels a side; then, until the side is reached, nearest doubling and two
    convolutions of 3 x 3; a convolution of 1 x 1 to colours and a sigmoid. Each but the last is followed by
    normalisation over the batch (its own statistics, none remembered) and LeakyReLU. Larger sides are cropped.
    """

    image_shape: tuple[int, int, int]
    channels: int
    latent: int

    @property
    def doublings(self) -> int:
        return upsampling.doublings(*self.image_shape[1:])

    @property
    def base(self) -> tuple[int, int]:
        """Rows and columns of the first maps."""
        return upsampling.base(*self.image_shape[1:])

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of its weights: of each normalised layer the weight, scale and shift; last the colours' weight and bias."""
        maps, colours = self.channels, self.image_shape[0]
        layers = [(maps * math.prod(self.base), self.latent), *[(maps, maps, 3, 3)] * (2 * self.doublings)]
        found = [shape for layer in layers for shape in (layer, (maps,), (maps,))]
        return [*found, (colours, maps, 1, 1), (colours,)]

    @property
    def size(self) -> int:
        return sum(map(math.prod, self.shapes))

    def start(self, generator: torch.Generator) -> Tensor:
        """Weights `(size,)` uniform within 1 over the root of a layer's inputs, as torch draws its layers'; scales are
        1, shifts and the colours' bias 0."""
        drawn = []
        for place, shape in enumerate(self.shapes):
            if len(shape) > 1:
                drawn.append((2 * torch.rand(shape, generator=generator) - 1) / math.sqrt(math.prod(shape[1:])))
            else:
                scales = place % 3 == 1 and place < len(self.shapes) - 2
                drawn.append(torch.full(shape, 1.0 if scales else 0.0))
        return torch.cat([tensor.flatten() for tensor in drawn])

    def pictures(self, weights: Tensor, codes: Tensor) -> Tensor:
        """`(B, C, H, W)` in [0, 1] of weights `(size,)` and codes `(B, latent)`."""
        parts = torch.split(weights, [math.prod(shape) for shape in self.shapes])
        first, *layers = [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]
        maps = (codes @ first.T).reshape(len(codes), self.channels, *self.base)
        maps = _rectified(maps, *layers[:2])
        for place in range(2, len(layers) - 2, 3):
            if (place - 2) % 6 == 0:
                maps = upsampling.doubled(maps)
            maps = _rectified(conv2d(maps, layers[place], padding=1), *layers[place + 1 : place + 3])
        colours = conv2d(maps, layers[-2], layers[-1])
        return colours.sigmoid()[..., : self.image_shape[1], : self.image_shape[2]]


def untrained_generator(group: Sequence[UpdateObservation], channels: int, latent: int) -> Parametrisation:
    """Its weights as what these targets' lanes vary. Each target's codes are drawn once, from its attacker's stream:
    restarts of one target differ in their first weights alone."""
    public, (mean, std) = group[0].public, group[0].channel_constants()
    network = Untrained(public.image_shape, channels, latent)
    codes = [torch.randn(public.pictures, latent, generator=seen.generator) for seen in group]
    return Parametrisation(
        size=network.size,
        pictures=lambda weights, beside: (network.pictures(weights, beside[0]) - mean) / std,
        start=network.start,
        beside=(torch.stack(codes),),
    )


def _rectified(maps: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Normalised over pictures and places by their own mean and variance, scaled and shifted, then LeakyReLU."""
    mean = maps.mean(dim=(0, 2, 3), keepdim=True)
    apart = maps - mean
    variance = apart.square().mean(dim=(0, 2, 3), keepdim=True)
    normal = apart / (variance + _EPSILON).sqrt()
    return leaky_relu(normal * scale[:, None, None] + shift[:, None, None], LEAK)
