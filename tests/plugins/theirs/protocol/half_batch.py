"""A client that shares the gradient of a random half of its batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.observation import Tensors
from invbench.protocol import Gradient, Shared, UpdateProtocol
from invbench.registry import protocol


@protocol(games=("update",), axes=("batch_size",))
@dataclass(frozen=True, kw_only=True)
class HalfBatch(UpdateProtocol):
    """FedSGD on half of the batch, rounded up and drawn anew for every update.

    Who simulates it without knowing the draw takes the whole batch, which is what is shared on average.
    """

    def share(
        self,
        network: nn.Module,
        weights: Tensors,
        buffers: Tensors,
        images: Tensor,
        labels: Tensor,
        draws: Tensors,
        gradient: Gradient,
    ) -> Shared:
        kept = draws.get("kept", torch.arange(len(images))).to(images.device)
        return Shared(gradient(network, weights, buffers, images[kept], labels[kept]))

    def draw(self, batch_size: int, generator: torch.Generator) -> Tensors:
        return {"kept": torch.randperm(batch_size, generator=generator)[: (batch_size + 1) // 2]}
