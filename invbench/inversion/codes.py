"""Inversion in the code of an autoencoder (Fredrikson et al. 2015, algorithm 2): what decodes, and PROCESS.

The paper's text was not at hand: what PROCESS does and in which order is from memory, its strengths are ours.

PROCESS wants an autoencoder that decodes what it encodes. Training on labels moves the encoder away from its decoder:
on AT&T's faces (60 steps of pretraining a layer, 80 of training) a picture comes back at 17.6 dB, after 20 times at
7.9, and most people end in one and the same face (`benchmarks/faces.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

_BLUR = (1 / 4, 1 / 2, 1 / 4)  # binomial: a Gaussian of standard deviation 0.7 pixels


@runtime_checkable
class Autoencoding(Protocol):
    """A network whose first layers have a decoder. Pictures `(N, C, H, W)` are normalised, codes `(N, d)` in [0, 1]."""

    def encode(self, images: Tensor) -> Tensor:
        """Pictures to codes."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """Codes to pictures."""
        ...

    def read(self, codes: Tensor) -> Tensor:
        """Codes to class scores `(N, classes)`."""
        ...


@dataclass(frozen=True, eq=False)
class Codes:
    """An autoencoding network with the normalisation of its pictures, `mean` and `std` `(C, 1, 1)`."""

    network: Autoencoding
    mean: Tensor
    std: Tensor

    def of(self, pictures: Tensor) -> Tensor:
        """Codes of pictures in [0, 1]."""
        return self.network.encode((pictures - self.mean) / self.std)

    def decoded(self, codes: Tensor) -> Tensor:
        """Pictures in [0, 1]."""
        return (self.network.decode(codes) * self.std + self.mean).clamp(0, 1)

    @torch.no_grad()
    def processed(self, codes: Tensor, filtering: float, sharpening: float) -> Tensor:
        """PROCESS: decode, denoise by non-local means, sharpen, encode."""
        return self.of(sharpened(non_local_means(self.decoded(codes), filtering), sharpening).clamp(0, 1))


def non_local_means(pictures: Tensor, filtering: float, patch: int = 5, reach: int = 3) -> Tensor:
    """Each pixel is the mean of those within `reach` of it, weighted by how alike their surroundings are.

    The weight is exp(-d / filtering^2), with d the mean squared difference of the two patches of `patch` x `patch`
    (Buades, Coll and Morel 2005, 10.1109/CVPR.2005.38). `pictures` `(N, C, H, W)`; beyond an edge the edge goes on.
    """
    height, width = pictures.shape[-2:]
    side = reach + patch // 2
    wide = functional.pad(pictures, (side,) * 4, mode="replicate")
    own = _window(wide, 0, 0, reach, height + 2 * (patch // 2), width + 2 * (patch // 2))
    total, weights = torch.zeros_like(pictures), torch.zeros_like(pictures[:, :1])
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            other = _window(wide, down, right, reach, *own.shape[-2:])
            apart = functional.avg_pool2d((own - other).square().mean(dim=1, keepdim=True), patch, stride=1)
            weight = (-apart / filtering**2).exp()
            inner = patch // 2
            total += weight * other[..., inner : inner + height, inner : inner + width]
            weights += weight
    return total / weights


def sharpened(pictures: Tensor, amount: float) -> Tensor:
    """Unsharp masking: x + amount (x - blurred x), `(N, C, H, W)`."""
    kernel = torch.tensor(_BLUR, dtype=pictures.dtype, device=pictures.device)
    channels = pictures.shape[1]
    across = kernel.expand(channels, 1, 1, 3)
    padded = functional.pad(pictures, (1, 1, 1, 1), mode="replicate")
    blurred = functional.conv2d(functional.conv2d(padded, across, groups=channels), across.mT, groups=channels)
    return pictures + amount * (pictures - blurred)


def _window(wide: Tensor, down: int, right: int, reach: int, height: int, width: int) -> Tensor:
    return wide[..., reach + down : reach + down + height, reach + right : reach + right + width]
