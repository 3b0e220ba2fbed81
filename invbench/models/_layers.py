"""What several architectures share: activations, one logit as scores, He et al.'s start, reasons why a picture is too
small."""

from __future__ import annotations

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
