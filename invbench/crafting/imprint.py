"""The imprint module: units that switch on one after the other as a picture gets brighter (Fowl et al. 2022)."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from invbench.observation import Tensors

Structure = Literal["cumulative", "sparse"]
"""`cumulative`: a unit is on for all pictures above its edge. `sparse`: for those between its edge and the next."""
STRUCTURES: tuple[Structure, ...] = get_args(Structure)


class Imprint(nn.Module):
    """x + W2 a(W1 x + b1) + b2 of the flattened picture, with k units in between.

    Whoever crafts it gives all rows of `first` one direction, and all columns of `second` another, so that the gradient
    of the loss by a unit's input is the same for every unit that a picture switches on. a: ReLU, or max(0, min(1, z))
    where `sparse`.
    """

    def __init__(self, image_shape: tuple[int, int, int], bins: int, structure: Structure) -> None:
        super().__init__()
        pixels = math.prod(image_shape)
        self.first, self.second = nn.Linear(pixels, bins), nn.Linear(bins, pixels)
        self.active = nn.ReLU() if structure == "cumulative" else nn.Hardtanh(0.0, 1.0)

    def forward(self, images: Tensor) -> Tensor:
        added: Tensor = self.second(self.active(self.first(images.flatten(1))))
        return images + added.reshape(images.shape)


def brightness(images: Tensor) -> Tensor:
    """Mean of each picture's normalised pixels, `(N,)`: what the units measure."""
    return images.flatten(1).mean(dim=1)


def imprint_weights(weights: Tensors, edges: Tensor, structure: Structure, gain: float) -> dict[str, Tensor]:
    """Weights and biases of an `Imprint` whose k bins of brightness lie between the k + 1 `edges`.

    By the names that it has as `inserted`; `weights` says their shapes. Cumulative: unit i is h.x - c_i (h the mean);
    sparse: (h.x - c_i) / (c_(i+1) - c_i), between 0 and 1 in its own bin alone. The second layer adds the mean of the
    units times `gain` to every pixel.
    """
    first, second = weights["inserted.first.weight"], weights["inserted.second.weight"]
    bins, pixels = first.shape
    low, width = edges[:-1], edges.diff()
    scale = torch.ones_like(width) if structure == "cumulative" else 1 / width
    made = {
        "inserted.first.weight": (scale / pixels)[:, None].expand(bins, pixels),
        "inserted.first.bias": -low * scale,
        "inserted.second.weight": torch.full((pixels, bins), gain / bins),
        "inserted.second.bias": torch.zeros(pixels),
    }
    return {name: tensor.to(second).contiguous() for name, tensor in made.items()}
