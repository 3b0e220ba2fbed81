"""Training a victim on arrays: one recipe for every architecture, cheap enough for a CPU core."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from invbench.core import progress
from invbench.core.training import Training

BATCH = 32
PEAK_LR = 2e-3
WARM_UP = 0.1  # share of the steps
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
    device, steps = next(network.parameters()).device, training.steps
    optimizer = torch.optim.Adam(network.parameters(), lr=PEAK_LR)
    dropout_seed = int(torch.randint(2**62, (), generator=generator))
    network.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(dropout_seed)
        for step, batch in enumerate(_batches(len(images), steps, generator)):
            for group in optimizer.param_groups:
                group["lr"] = PEAK_LR * _schedule(step, steps)
            optimizer.zero_grad()
            loss = training.backward(network, training.loss, images[batch].to(device), labels[batch].to(device))
            optimizer.step()
            progress.report("training", step + 1, steps, loss.item())
    optimizer.zero_grad()
    network.eval()
    loss_after, accuracy = _evaluate(network, images, labels, device)
    if not math.isfinite(loss_after):
        raise ArithmeticError(f"training diverged: the loss is {loss_after} after {steps} steps")
    epochs = steps / (len(images) // min(BATCH, len(images)))
    return Trained(steps, epochs, loss_after, accuracy)


def _batches(pool: int, steps: int, generator: torch.Generator) -> list[Tensor]:
    """`steps` index vectors of equal length."""
    size = min(BATCH, pool)
    each_epoch = pool // size
    epochs = -(-steps // each_epoch)
    orders = [torch.randperm(pool, generator=generator)[: each_epoch * size] for _ in range(epochs)]
    return list(torch.cat(orders).reshape(-1, size)[:steps])


def _schedule(step: int, steps: int) -> float:
    """Share of the peak learning rate: a straight climb, then a half cosine to zero."""
    warm_up = max(1, round(WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step + 1 - warm_up) / (steps + 1 - warm_up)))


@torch.no_grad()
def _evaluate(network: nn.Module, images: Tensor, labels: Tensor, device: torch.device) -> tuple[float, float]:
    """Mean cross-entropy and accuracy in the network's present mode."""
    starts = range(0, len(images), EVALUATION_BATCH)
    scores = torch.cat([network(images[i : i + EVALUATION_BATCH].to(device)).cpu() for i in starts]).double()
    wanted = labels.cpu()
    loss = functional.cross_entropy(scores, wanted)
    return loss.item(), (scores.argmax(1) == wanted).double().mean().item()
