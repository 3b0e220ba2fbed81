"""Training far beyond zero error: full-batch descent until the weights lie near a stationary point of the margin.

Haim et al. 2022 (arXiv 2206.07758, section 5): a small start of the first layer, the whole training set in every step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from invbench.core import progress

REPORTS = 500  # steps between two reports of progress


@dataclass(frozen=True)
class FarTraining:
    """How a network of one output is trained.

    `start`: standard deviation of the first layer's weights before training, on normalised pictures (None: the
    architecture's own start). `rate`: each step is rate * gradient / loss, a step down log(loss), so that its length
    does not fade with the loss. `decay`: each step also shrinks every weight by rate * decay. It ends at a mean loss of
    `loss` nats, or after `steps`.
    """

    start: float | None
    rate: float
    decay: float
    loss: float
    steps: int


def start_small(network: nn.Module, std: float | None, generator: torch.Generator) -> nn.Module:
    """Float64, the first layer's weights drawn from N(0, std^2) and every bias 0; None leaves the start as it is."""
    network.double()
    if std is None:
        return network
    weights = [parameter for parameter in network.parameters() if parameter.dim() > 1]
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.zero_()
        weights[0].copy_(std * torch.randn(weights[0].shape, generator=generator, dtype=weights[0].dtype))
    return network


def train_far(network: nn.Module, images: Tensor, labels: Tensor, training: FarTraining) -> tuple[int, float]:
    """Train a float64 network of one output in place; the steps taken and the last loss.

    `images` (N, C, H, W) normalised float64, `labels` (N,) 0 or 1. The loss is the mean of log(1 + exp(-y f(x))) with
    y = -1 or 1, which float64 holds to 1e-300. ArithmeticError where it ends up not finite.
    """
    signs, parameters = (2 * labels - 1).double(), list(network.parameters())
    for step in range(training.steps + 1):
        loss = functional.softplus(-signs * network(images)[:, 0]).mean()
        value = loss.item()
        if not value < float("inf"):
            raise ArithmeticError(f"training diverged: the loss is {value} after {step} steps")
        if value <= training.loss or step == training.steps:
            return step, value
        slopes = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, slope in zip(parameters, slopes, strict=True):
                parameter.mul_(1 - training.rate * training.decay).sub_(slope * (training.rate / value))
        if step % REPORTS == 0:
            progress.report("training", step, training.steps, value)
    raise AssertionError("the loop ends inside")
