"""LOKI's module: every client is given kernels that keep its gradient apart in the sum of all (Zhao et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.observation import Tensors


class Loki(nn.Module):
    """x + W2 a(W1 relu(K x)) of a picture `(C, H, W)`: N C kernels of 3 x 3, then k units as of a sparse imprint.

    a(z) = max(0, min(1, z)). Whoever crafts it leaves a client C of its kernels; the others answer 0, and so is the
    gradient of all weights of `first` that they reach.
    """

    def __init__(self, image_shape: tuple[int, int, int], clients: int, bins: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        pixels = channels * height * width
        self.kernels = nn.Conv2d(channels, clients * channels, 3, padding=1)
        self.positive = nn.ReLU()
        self.first, self.active = nn.Linear(clients * pixels, bins), nn.Hardtanh(0.0, 1.0)
        self.second = nn.Linear(bins, pixels)

    def forward(self, images: Tensor) -> Tensor:
        seen = self.positive(self.kernels(images)).flatten(1)
        added: Tensor = self.second(self.active(self.first(seen)))
        return images + added.reshape(images.shape)


def loki_weights(
    weights: Tensors, edges: Tensor, client: int, mean: Tensor, std: Tensor, boost: float, gain: float
) -> dict[str, Tensor]:
    """Weights and biases of this client's `Loki`, by the names that it has as `inserted`; `weights` says their shapes.

    Its kernels are `boost` times the picture in [0, 1] (channel constants `mean`, `std` `(C,)` of the normalisation are
    undone), so that ReLU lets it through. Unit i is (mean of the picture - c_i) / (c_(i+1) - c_i) between the k + 1
    `edges`; the second layer adds the mean of the units times `gain` to every pixel.
    """
    kernels, first = weights["inserted.kernels.weight"], weights["inserted.first.weight"]
    second = weights["inserted.second.weight"]
    channels, (bins, inputs) = len(mean), first.shape
    own = torch.arange(client * channels, (client + 1) * channels)
    taps, biases = torch.zeros(kernels.shape), torch.zeros(len(kernels))
    taps[own, torch.arange(channels), 1, 1] = boost * std
    biases[own] = boost * mean
    width = edges.diff()
    made = {
        "inserted.kernels.weight": taps,
        "inserted.kernels.bias": biases,
        "inserted.first.weight": (1 / (width * boost * len(second)))[:, None].expand(bins, inputs),
        "inserted.first.bias": -edges[:-1] / width,
        "inserted.second.weight": torch.full(second.shape, gain / bins),
        "inserted.second.bias": torch.zeros(len(second)),
    }
    return {name: tensor.to(first).contiguous() for name, tensor in made.items()}


@dataclass(frozen=True, eq=False)
class Blocks:
    """What the units of each client hold: `contents` `(K, pixels)`, and of each its bin and its client, `(K,)`."""

    contents: Tensor
    bins: Tensor
    clients: Tensor


def read_blocks(weight: Tensor, clients: int) -> Blocks:
    """The blocks of the first layer's update `(k, clients * pixels)` in which something stands, float64.

    Of a client's pictures a unit holds those between its edges, summed with their signals; a unit that no picture of a
    client switches on holds exact zeros there.
    """
    blocks = weight.reshape(len(weight), clients, -1)
    bins, owners = blocks.abs().amax(dim=2).nonzero(as_tuple=True)
    return Blocks(blocks[bins, owners].double(), bins, owners)


def levels(edges: Tensor) -> Tensor:
    """What a picture between two edges has as its mean, about: the middle; the inner edge of the two outermost bins."""
    middles = (edges[:-1] + edges[1:]) / 2
    middles[0], middles[-1] = edges[1], edges[-2]
    return middles


def scaled(contents: Tensor, wanted: Tensor) -> Tensor:
    """Rows of unknown scale and sign, each scaled so that its mean is the one wanted `(K,)`."""
    found = contents.mean(dim=1)
    return contents * (wanted / torch.where(found == 0, 1.0, found))[:, None]
