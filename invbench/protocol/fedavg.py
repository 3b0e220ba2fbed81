"""FedAvg: the client trains for a few steps and shares what they changed (McMahan et al. 2017, arXiv 1602.05629)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.observation import Tensors
from invbench.protocol import Gradient, Multiple, Shared, UpdateProtocol
from invbench.registry import parameter, protocol


@protocol(games=("update",), axes=("batch_size",))
@dataclass(frozen=True, kw_only=True)
class FedAvg(UpdateProtocol):
    """`steps` of plain SGD on the client's batch; the difference of the weights after and before is shared.

    Algorithm 1, ClientUpdate: w <- w - lr * gradient of a local batch. The batch is taken in its order and cut into
    local batches of `local_batch_size`, which take turns; by default every step takes the whole batch.

    The difference is added up beside the weights and so keeps its own digits. A client that subtracts two float32
    models loses up to 2^-25 |w| of every entry, which hides small ones: what is measured here leaks at least as much.
    """

    steps: int = parameter(5, at_least=1, unit="steps", help="local steps of SGD")
    lr: float = parameter(0.1, above=0, help="their learning rate")
    local_batch_size: int | None = parameter(
        None, at_least=1, unit="pictures", help="pictures of a local step; by default the client's whole batch"
    )

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
        size = self.local_batch_size or len(images)
        batches = list(zip(torch.split(images, size), torch.split(labels, size), strict=True))
        names = [name for name, _ in network.named_parameters()]
        change = [torch.zeros_like(weights[name]) for name in names]
        for step in range(self.steps):
            here = {name: weights[name] + moved for name, moved in zip(names, change, strict=True)}
            slopes = gradient(network, here, buffers, *batches[step % len(batches)])
            change = [moved - self.lr * slope for moved, slope in zip(change, slopes, strict=True)]
        return Shared(tuple(change))

    def multiple(self, batch_size: int) -> Multiple:
        whole = self.local_batch_size is None or self.local_batch_size >= batch_size
        return Multiple(factor=-self.lr * self.steps, exact=self.steps == 1 and whole)

    @property
    def local_steps(self) -> int:
        return self.steps

    def even(self, batch_size: int) -> bool:
        size = self.local_batch_size or batch_size
        return size >= batch_size or (batch_size % size == 0 and self.steps % (batch_size // size) == 0)
