"""InstaHide (Huang et al. 2020, arXiv 2010.02772): mixtures of private pictures under a mask of random signs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.defenses import Batch, Context, Defense
from invbench.defenses._mixing import mixed, one_hot
from invbench.registry import defense, parameter

LARGEST = 0.65
"""Most that one picture may weigh in a mixture (c_1 of their experiments)."""


@defense
@dataclass(frozen=True, kw_only=True)
class InstaHide(Defense):
    """Compute on s * (l_1 x_i + l_2 x_j + ... ), `k` pictures of the client's batch, s a random sign for each value.

    Their inside-dataset scheme, where the data set is the batch of the round: j, ... are of k - 1 permutations of
    it (a picture may meet itself). Weights are drawn evenly, divided by their sum, and drawn again while one is
    above 0.65. Labels are mixed with the same weights. Signs are of normalised values, which then may lie outside
    the range of real pictures. A client here has no public pictures: their cross-dataset scheme, which hides more,
    is not played. No guarantee: who sees many encodings of one picture undoes them (Carlini et al. 2021, arXiv
    2011.05315). A batch is encoded anew in each of the protocol's `rounds`: attack `unmix`.
    """

    k: int = parameter(2, at_least=2, unit="pictures", help="how many pictures are mixed")

    def unsupported(self, network: nn.Module, batch_size: int) -> str | None:
        if batch_size >= self.k:
            return None
        return f"mixes {self.k} pictures of a batch, and there {'is one' if batch_size == 1 else f'are {batch_size}'}"

    def inputs(self, batch: Batch, context: Context) -> Batch:
        images, labels = batch
        mixing = self._weights(len(images), context.generator)
        signs = 2.0 * torch.randint(2, images.shape, generator=context.generator) - 1
        return signs.to(images) * mixed(mixing, images), mixed(mixing, one_hot(labels, context))

    def _weights(self, count: int, generator: torch.Generator) -> Tensor:
        """How much each picture of the batch weighs in each mixture, `(B, B)`; rows add up to 1."""
        orders = [torch.arange(count), *(torch.randperm(count, generator=generator) for _ in range(self.k - 1))]
        mixing = torch.zeros(count, count)
        for row in range(count):
            weights = torch.ones(self.k)
            while float(weights.max()) > LARGEST:
                weights = torch.rand(self.k, generator=generator)
                weights = weights / weights.sum()
            for weight, order in zip(weights, orders, strict=True):
                mixing[row, order[row]] += weight
        return mixing
