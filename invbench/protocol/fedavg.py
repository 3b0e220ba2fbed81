"""FedAvg: the client trains for a few steps and shares what they changed (McMahan et al. 2017, arXiv 1602.05629)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from invbench.observation import Tensors
from invbench.protocol import Gradient, Multiple, Shared, UpdateProtocol
from invbench.registry import parameter, protocol

ORDER = "order"
"""The draw of a client that shuffles: `(passes, B)`, which of its pictures is where in each pass over them."""


@protocol(games=("update",), axes=("batch_size",))
@dataclass(frozen=True, kw_only=True)
class FedAvg(UpdateProtocol):
    """`steps` of plain SGD on the client's batch; the difference of the weights after and before is shared.

    Algorithm 1, ClientUpdate: w <- w - lr * gradient of a local batch. The batch is taken in its order and cut into
    local batches of `local_batch_size`, which take turns; by default every step takes the whole batch. With `epochs`
    the client takes so many passes over its batch instead of `steps`; with `order: shuffled` each pass has an order of
    its own, drawn by the client and told to nobody, as in the paper.

    The difference is added up beside the weights and so keeps its own digits. A client that sends its weights instead
    (`sends: weights`) rounds them to float32, up to 2^-24 |w| of every entry, which hides what is smaller.
    """

    steps: int = parameter(5, at_least=1, unit="steps", help="local steps of SGD")
    lr: float = parameter(0.1, above=0, help="their learning rate")
    local_batch_size: int | None = parameter(
        None, at_least=1, unit="pictures", help="pictures of a local step; by default the client's whole batch"
    )
    epochs: int | None = parameter(
        None, later=True, at_least=1, unit="epochs", help="passes over the client's batch, in place of `steps`"
    )
    order: Literal["fixed", "shuffled"] = parameter(
        "fixed", later=True, help="the pictures' order in each pass: always the same, or drawn anew"
    )
    sends: Literal["difference", "weights"] = parameter(
        "difference", later=True, help="what leaves the client: what it changed, or its weights in float32"
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
        order = draws[ORDER].to(images.device) if ORDER in draws else None
        count = len(images) if order is None else order.shape[1]
        passes = [(images, labels)] if order is None else [(images[one], labels[one]) for one in order]
        batches = [batch for one in passes for batch in self._cut(*one)]
        names = [name for name, _ in network.named_parameters()]
        change = [torch.zeros_like(weights[name]) for name in names]
        for step in range(self.local_steps(count)):
            here = {name: weights[name] + moved for name, moved in zip(names, change, strict=True)}
            slopes = gradient(network, here, buffers, *batches[step % len(batches)])
            change = [moved - self.lr * slope for moved, slope in zip(change, slopes, strict=True)]
        return Shared(tuple(change))

    def _cut(self, images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
        size = self.local_batch(len(images))
        return list(zip(torch.split(images, size), torch.split(labels, size), strict=True))

    def draw(self, batch_size: int, generator: torch.Generator) -> Tensors:
        """The order of each pass, where there are several local batches and it is not always the same."""
        if self.order == "fixed" or self._batches(batch_size) == 1:
            return {}
        passes = -(-self.local_steps(batch_size) // self._batches(batch_size))
        return {ORDER: torch.stack([torch.randperm(batch_size, generator=generator) for _ in range(passes)])}

    def multiple(self, batch_size: int) -> Multiple:
        steps = self.local_steps(batch_size)
        return Multiple(factor=-self.lr * steps, exact=steps == 1 and self._batches(batch_size) == 1)

    def local_batch(self, batch_size: int) -> int:
        return min(self.local_batch_size or batch_size, batch_size)

    def local_steps(self, batch_size: int) -> int:
        return self.steps if self.epochs is None else self.epochs * self._batches(batch_size)

    @property
    def sends_weights(self) -> bool:
        return self.sends == "weights"

    def even(self, batch_size: int) -> bool:
        batches = self._batches(batch_size)
        return batch_size == batches * self.local_batch(batch_size) and self.local_steps(batch_size) % batches == 0

    def _batches(self, batch_size: int) -> int:
        """How many local batches a pass over the client's batch has."""
        return -(-batch_size // self.local_batch(batch_size))
