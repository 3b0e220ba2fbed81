"""Softmax regression: one fully connected layer on the flattened picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from invbench.models import ImageModel, training_steps
from invbench.registry import model


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class Linear(ImageModel):
    """Softmax regression: one fully connected layer with bias. PyTorch's own start."""

    training_steps: int = training_steps(2000)

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(image_shape), classes))
