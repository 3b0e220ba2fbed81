"""Stage `inputs`: noise on the client's pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from invbench.defenses import Batch, Context, Defense
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class InputNoise(Defense):
    """N(0, std^2) on every normalised pixel."""

    std: float = parameter(0.1, at_least=0, unit="normalised", help="standard deviation of the noise")

    def inputs(self, batch: Batch, context: Context) -> Batch:
        images, labels = batch
        noise = torch.randn(images.shape, generator=context.generator).to(images)
        return images + self.std * noise, labels
