"""Stage `per_example`: every example's gradient at one length (Bu et al. 2023, arXiv 2206.07136, equation 1.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from invbench.defenses import Context, Defense
from invbench.observation import Update
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class EqualExamples(Defense):
    """g / (|g| + least) for the gradient g of each example."""

    hides_scale = True

    least: float = parameter(0.01, above=0, help="added to a norm, so that a small one is not blown up")

    def per_example(self, gradients: list[Update], context: Context) -> list[Update]:
        return [self._scaled(gradient) for gradient in gradients]

    def _scaled(self, gradient: Update) -> Update:
        norm = torch.stack([tensor.double().square().sum() for tensor in gradient]).sum().sqrt()
        return tuple(tensor / (norm + self.least).to(tensor.dtype) for tensor in gradient)
