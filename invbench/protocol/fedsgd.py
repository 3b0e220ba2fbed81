"""FedSGD: the client shares the gradient of its batch (McMahan et al. 2017, arXiv 1602.05629, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from invbench.observation import Tensors
from invbench.protocol import Gradient, Multiple, Shared, UpdateProtocol
from invbench.registry import protocol


@protocol(games=("update",), axes=("batch_size",))
@dataclass(frozen=True, kw_only=True)
class FedSGD(UpdateProtocol):
    """One gradient of the batch's mean cross-entropy at the global weights."""

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
        return Shared(gradient(network, weights, buffers, images, labels))

    def multiple(self, batch_size: int) -> Multiple:
        return Multiple(1.0, exact=True)
