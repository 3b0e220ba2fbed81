"""What several architectures share: activations, normalisations, pooling, skips, one logit as scores, He et al.'s
start, reasons why a picture is too small."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

Activation = Literal["sigmoid", "tanh", "relu", "leaky-relu", "elu", "softplus", "gelu", "silu"]

ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky-relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "softplus": nn.Softplus,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
"""Activations by name; all but `relu` and `leaky-relu` have a second derivative that is not zero."""


Norm = Literal["batch", "group", "none"]

Pool = Literal["max", "average"]

POOLS: dict[str, Callable[[int], nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


def normalisation(norm: Norm, channels: int, *, flat: bool = False) -> list[nn.Module]:
    """One layer or none, of `(N, channels, H, W)`, or where `flat` of `(N, channels)`.

    Group normalisation has 32 groups (Wu and He 2018, arXiv 1803.08494), fewer where 32 does not divide; where `flat`
    one group, for a group of one number is always zero.
    """
    if norm == "batch":
        return [nn.BatchNorm1d(channels) if flat else nn.BatchNorm2d(channels)]
    return [nn.GroupNorm(1 if flat else math.gcd(32, channels), channels)] if norm == "group" else []


class Skip(nn.Module):
    """F(x) + x, F layers that keep the shape (He et al. 2016, arXiv 1512.03385, equation 1)."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.residual = nn.Sequential(*layers)

    def forward(self, values: Tensor) -> Tensor:
        out: Tensor = self.residual(values) + values
        return out


def skipped(layers: list[nn.Module], *, skip: bool) -> list[nn.Module]:
    """The layers, with a skip around all of them where there is to be one."""
    return [Skip(*layers)] if skip else layers


class OneLogit(nn.Module):
    """One logit m `(N, 1)` as the scores (0, m) of two classes: their cross-entropy is m's logistic loss."""

    def forward(self, logits: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(logits), logits], dim=1)


def start_like_he(network: nn.Module) -> None:
    """Draw convolutions from N(0, 2 / fan_out), biases zero (He et al. 2015, arXiv 1502.01852, eq. 14).

    Linear layers keep PyTorch's own start; normalisations start as the identity already.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def too_small(image_shape: tuple[int, int, int], least: int, because: str) -> str | None:
    """Why pictures with a side below `least` pixels cannot be taken, or None."""
    _, height, width = image_shape
    if min(height, width) >= least:
        return None
    return f"{because}: needs pictures of at least {least} x {least} pixels, not {height} x {width}"
