"""How a victim is trained, as a value that a defence may change, and the one recipe by which everybody trains.

Victims are trained by it behind the wall (`victims/training.py`), shadow models before it (`shadows/training.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from invbench.core import progress
from invbench.core.penalties import collecting, with_penalties
from invbench.core.private import Private

Loss = Callable[[Tensor, Tensor], Tensor]
"""Class scores `(B, classes)` and labels `(B,)` to the mean loss of a batch."""

BATCH = 32
PEAK_LR = 2e-3
WARM_UP = 0.1  # share of the steps


def backward(network: nn.Module, loss: Loss, images: Tensor, labels: Tensor) -> Tensor:
    """One batch's loss; every parameter's `.grad` is its gradient, as the optimiser takes it."""
    with collecting() as penalties:
        scores = network(images)
    value = with_penalties(loss(scores, labels), penalties)
    value.backward()  # type: ignore[no-untyped-call]
    return value


@dataclass(frozen=True)
class Training:
    """How a victim is trained, for a defence's `training` stage to change: batches of 32, loss, gradient of a batch.

    `private`: each example's own gradient is clipped and noised instead, in batches drawn for that. `examples`: how
    many there are, where whoever trains says it; `example`: what one of them is, in words.
    """

    steps: int
    loss: Loss = functional.cross_entropy
    backward: Callable[[nn.Module, Loss, Tensor, Tensor], Tensor] = backward
    private: Private | None = None
    examples: int | None = None
    example: str = "picture"

    def __post_init__(self) -> None:
        if self.private is not None and self.backward is not backward:
            raise ValueError("gradients are clipped by example: no other defence may compute a batch's")

    def backward_of(self, network: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
        """What sets every parameter's `.grad`, given a batch's inputs and labels, and gives the loss."""
        if self.private is None:
            return partial(self.backward, network, self.loss)
        return self.private.backward(network, self.loss)


@dataclass(frozen=True, eq=False)
class Draws:
    """What chance decides in a training: the seed of dropout, and `steps` index vectors into the pool."""

    dropout: int
    batches: list[Tensor]


def draw(pool: int, training: Training, generator: torch.Generator) -> Draws:
    """The draws of one training on `pool` pictures, from its own stream."""
    drawn = batches if training.private is None else training.private.batches
    return Draws(int(torch.randint(2**62, (), generator=generator)), drawn(pool, training.steps, generator))


def batches(pool: int, steps: int, generator: torch.Generator) -> list[Tensor]:
    """`steps` index vectors of equal length; each epoch is a new permutation, less what is left below a batch."""
    size, each_epoch = batch_size(pool), steps_an_epoch(pool)
    epochs = -(-steps // each_epoch)
    orders = [torch.randperm(pool, generator=generator)[: each_epoch * size] for _ in range(epochs)]
    return list(torch.cat(orders).reshape(-1, size)[:steps])


def batch_size(pool: int) -> int:
    """Pictures in a batch: 32, or all where there are fewer."""
    return min(BATCH, pool)


def steps_an_epoch(pool: int) -> int:
    """Batches in one pass over `pool` pictures."""
    return pool // batch_size(pool)


def schedule(step: int, steps: int) -> float:
    """Share of the peak learning rate: a straight climb, then a half cosine to zero."""
    warm_up = max(1, round(WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step + 1 - warm_up) / (steps + 1 - warm_up)))


def descend(network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator, training: Training) -> None:
    """Train `network` in place by Adam at the learning rate of `schedule`, no augmentation and no weight decay.

    `images` (N, C, H, W) normalised, `labels` (N,) int64; batches are moved to the network's device. The permutations
    and dropout depend on `generator` (CPU) alone. Ends in eval mode, without gradients.
    """
    device, steps = next(network.parameters()).device, training.steps
    optimizer = torch.optim.Adam(network.parameters(), lr=PEAK_LR)
    drawn, backward = draw(len(images), training, generator), training.backward_of(network)
    network.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(drawn.dropout)
        for step, batch in enumerate(drawn.batches):
            for group in optimizer.param_groups:
                group["lr"] = PEAK_LR * schedule(step, steps)
            optimizer.zero_grad()
            loss = backward(images[batch].to(device), labels[batch].to(device))
            optimizer.step()
            progress.report("training", step + 1, steps, loss.item())
    optimizer.zero_grad()
    network.eval()
