"""LPIPS' network (Zhang et al. 2018, arXiv 1801.03924, version 0.1 on AlexNet), without the package's imports.

What the package's own code computes, by the same operations in the same order, and so the same bits. Its code would
load torchvision, which takes a process seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Inputs in [-1, 1] are moved by ImageNet's means and divided by its standard deviations."""
_LAYERS = (
    # name in the trunk's file, stride, padding, whether pooling comes before it
    ("net.slice1.0", 4, 2, False),
    ("net.slice2.3", 1, 2, True),
    ("net.slice3.6", 1, 1, True),
    ("net.slice4.8", 1, 1, False),
    ("net.slice5.10", 1, 1, False),
)
_TINY = 1e-10
"""Added to norms before they divide."""


@dataclass(frozen=True)
class Network:
    """`weights`: kernels and biases of the trunk, and the heads' weights `lin0` to `lin4`, by name."""

    weights: Mapping[str, Tensor]

    def layers(self, inputs: Tensor) -> list[Tensor]:
        """Each layer's values after ReLU, `(N, C, H, W)`, divided by their norm over channels."""
        shift, scale = (torch.tensor(values)[None, :, None, None] for values in (_SHIFT, _SCALE))
        x = (inputs - shift) / scale
        found = []
        for name, stride, padding, pooled in _LAYERS:
            x = functional.max_pool2d(x, 3, 2) if pooled else x
            weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
            x = functional.relu(functional.conv2d(x, weight, bias, stride, padding))
            found.append(x / (torch.sqrt(torch.sum(x**2, dim=1, keepdim=True)) + _TINY))
        return found

    def head(self, layer: int) -> Tensor:
        """The weights of a layer's channels, `(1, C, 1, 1)`."""
        return self.weights[f"lin{layer}.model.1.weight"]

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """LPIPS of each pair, `(N, 1, 1, 1)`, of inputs in [-1, 1]."""
        pairs = zip(self.layers(a), self.layers(b), strict=True)
        total = torch.zeros(())
        for k, (x, y) in enumerate(pairs):
            total = total + functional.conv2d((x - y) ** 2, self.head(k)).mean([2, 3], keepdim=True)
        return total
