"""Canaries among the examples of a training: gradients along one parameter, and examples that add nothing.

All of them are examples like pictures: they pass the training's own clipping, sampling, noise and divisor, which is
what an audit asks about. An example is a row `(1 + C H W,)`: a place among the network's parameters, then normalised
pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import vmap

from invbench.core.private import Private
from invbench.core.training import Loss, Training, descend

NOTHING = -1
"""The label of an example whose gradient is 0: a canary that is out."""
SPIKE = -2
"""The label of an example whose gradient is along the one parameter that its row names."""
FARTHEST = 1 << 24
"""Places that a float32 holds exactly."""


def rows(places: Tensor, pixels: Tensor) -> Tensor:
    """Examples of places `(N,)` and pixels `(N, C H W)`, or `(N, 0)` where no example has any."""
    return torch.cat([places[:, None].to(pixels), pixels], dim=1)


def train_with_canaries(
    network: nn.Module,
    examples: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    training: Training,
    shape: tuple[int, int, int] | None,
    norm: float,
) -> Tensor | None:
    """Train `network` in place as `descend` does; the sum of the gradients that a private training gave its optimiser.

    `examples` as of `rows`; `labels` `(N,)`: a class, `NOTHING` or `SPIKE`. `shape`: of the pictures; None where there
    is none among the examples, and the network need not be asked. `norm`: of a spike's gradient. None: not private.
    """
    watched = None if training.private is None else Watched.of(training.private, network)
    spiked = Spiked(network, shape, norm)
    descend(spiked, examples, labels, generator, replace(training, loss=with_canaries(training.loss), private=watched))
    network.eval()
    return None if watched is None else watched.total


class Spiked(nn.Module):
    """A network that takes rows and answers its class scores and, last, `norm` times the parameter that is named."""

    def __init__(self, network: nn.Module, shape: tuple[int, int, int] | None, norm: float) -> None:
        super().__init__()
        self.network, self.shape, self.norm = network, shape, norm

    def forward(self, examples: Tensor) -> Tensor:
        every = torch.cat([parameter.reshape(-1) for parameter in self.network.parameters()])
        spikes = self.norm * every[examples[:, 0].long()][:, None]
        if self.shape is None:
            return torch.cat([torch.zeros_like(spikes), spikes], dim=1)
        return torch.cat([self.network(examples[:, 1:].reshape(-1, *self.shape)), spikes], dim=1)


def with_canaries(loss: Loss) -> Loss:
    """The mean over a batch of this loss of pictures, of 0 for `NOTHING`, of the parameter named for a `SPIKE`."""

    def of_one(answer: Tensor, label: Tensor) -> Tensor:
        picture = loss(answer[None, :-1], label.clamp_min(0)[None])
        return torch.where(label >= 0, picture, torch.where(label == SPIKE, answer[-1], 0.0))

    of_each: Callable[[Tensor, Tensor], Tensor] = vmap(of_one)
    return lambda answers, labels: of_each(answers, labels).mean()


@dataclass(frozen=True)
class Watched(Private):
    """A private training as it is, whose noisy gradients are added up as they are handed to the optimiser."""

    inner: Private
    total: Tensor

    @classmethod
    def of(cls, inner: Private, network: nn.Module) -> Watched:
        size = sum(parameter.numel() for parameter in network.parameters())
        return cls(inner.clip, inner.noise, inner.batch, inner.seed, inner, torch.zeros(size, dtype=torch.float64))

    def batches(self, pool: int, steps: int, generator: torch.Generator) -> list[Tensor]:
        return self.inner.batches(pool, steps, generator)

    def backward(self, network: nn.Module, loss: Loss) -> Callable[[Tensor, Tensor], Tensor]:
        step = self.inner.backward(network, loss)

        def of_batch(inputs: Tensor, labels: Tensor) -> Tensor:
            value = step(inputs, labels)
            given = [torch.zeros_like(p) if p.grad is None else p.grad for p in network.parameters()]
            self.total.add_(torch.cat([gradient.detach().reshape(-1) for gradient in given]).cpu())
            return value

        return of_batch
