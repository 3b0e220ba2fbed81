"""One small hidden layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from invbench.models import ImageModel, training_steps
from invbench.registry import model, parameter


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class Tiny(ImageModel):
    """A perceptron that learns a few pictures by heart in a moment."""

    training_steps: int = training_steps(60)
    width: int = parameter(16, at_least=1, unit="units", help="size of the hidden layer")

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        hidden = nn.Linear(math.prod(image_shape), self.width)
        return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(self.width, classes))
