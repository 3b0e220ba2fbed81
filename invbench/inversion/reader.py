"""The network of `learned-inverse`: features of an update in, the pictures of its batch out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

_EDGE = 1e-3  # how near to black or white a mean picture may be, of which the network's start gives the logit


class Reader(nn.Module):
    """Two hidden layers of ReLU, then the logits of all pixels of `size` pictures.

    It starts at the mean of some `pictures` `(N, D)` in [0, 1], whatever goes in. With `told`, their labels `(N,)` and
    how many classes there are, it gets the labels of a batch as one-hot vectors beside the features, and starts at the
    mean picture of each.
    """

    def __init__(
        self, features: int, hidden: int, size: int, pictures: Tensor, told: tuple[Tensor, int] | None = None
    ) -> None:
        super().__init__()
        self.size = size
        mean = pictures.mean(dim=0)
        self.offsets = None if told is None else _of_each_label(pictures, *told) - _logit(mean)
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.default_generator.manual_seed(0)
            last = nn.Linear(hidden, size * len(mean))
            first = nn.Linear(features + (0 if told is None else size * told[1]), hidden)
            self.layers = nn.Sequential(first, nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), last)
        with torch.no_grad():
            last.weight.zero_()
            last.bias.copy_(_logit(mean.cpu()).repeat(size))
        self.layers.to(mean.device)

    def forward(self, rows: Tensor, labels: Tensor | None) -> Tensor:
        """`(n, size, D)` in [0, 1] of `rows` `(n, features)` and, where it is told them, `labels` `(n, size)`."""
        if self.offsets is None or labels is None:
            logits: Tensor = self.layers(rows).unflatten(1, (self.size, -1))
            return logits.sigmoid()
        told = one_hot(labels, len(self.offsets)).flatten(1).to(rows.dtype)
        logits = self.layers(torch.cat([rows, told], dim=1)).unflatten(1, (self.size, -1))
        return (logits + self.offsets[labels]).sigmoid()


def _of_each_label(pictures: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The logits of each label's mean picture `(classes, D)`; of the mean of all where a label has none."""
    there = [pictures[labels == label] for label in range(classes)]
    return torch.stack([_logit((some if len(some) else pictures).mean(dim=0)) for some in there])


def _logit(picture: Tensor) -> Tensor:
    return picture.clamp(_EDGE, 1 - _EDGE).logit()
