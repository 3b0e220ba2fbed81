"""Training a victim on arrays: one recipe for every architecture, cheap enough for a CPU core."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from invbench.core.training import Training, descend, steps_an_epoch

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Trained:
    """How a training ended. `loss` (mean cross-entropy, nats) and `accuracy` are on the whole training pool."""

    steps: int
    epochs: float
    loss: float
    accuracy: float


def train(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator, training: Training
) -> Trained:
    """Train `network` in place by `training.steps` batches of 32 (of the whole pool where it is smaller).

    A `private` training draws batches of its own and takes each picture's gradient (`core/private.py`).

    Adam on the cross-entropy, no augmentation and no weight decay; the learning rate climbs to 2e-3 over
    the first tenth and falls to zero along a cosine. Each epoch is a new permutation; what is left of it
    below a batch is dropped.

    `images` (N, C, H, W) normalised, `labels` (N,) int64; batches are moved to the network's device. The
    permutations and dropout depend on `generator` (CPU) alone: with one thread, the same bits each time.
    BatchNorm learns its running statistics. Ends in eval mode, without gradients. ValueError on an empty
    pool, ArithmeticError where the loss ends up not finite.
    """
    if len(images) == 0:
        raise ValueError("the training pool is empty")
    descend(network, images, labels, generator, training)
    device, steps = next(network.parameters()).device, training.steps
    loss_after, accuracy = _evaluate(network, images, labels, device)
    if not math.isfinite(loss_after):
        raise ArithmeticError(f"training diverged: the loss is {loss_after} after {steps} steps")
    each_epoch = steps_an_epoch(len(images)) if training.private is None else len(images) / training.private.batch
    epochs = steps / each_epoch
    return Trained(steps, epochs, loss_after, accuracy)


@torch.no_grad()
def _evaluate(network: nn.Module, images: Tensor, labels: Tensor, device: torch.device) -> tuple[float, float]:
    """Mean cross-entropy and accuracy in the network's present mode."""
    starts = range(0, len(images), EVALUATION_BATCH)
    scores = torch.cat([network(images[i : i + EVALUATION_BATCH].to(device)).cpu() for i in starts]).double()
    wanted = labels.cpu()
    loss = functional.cross_entropy(scores, wanted)
    return loss.item(), (scores.argmax(1) == wanted).double().mean().item()
