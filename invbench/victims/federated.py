"""A network trained by rounds of clients behind a stack of defences: what they cost in use.

McMahan et al. 2017 (arXiv 1602.05629, Algorithm 1). What clients share is taken for a gradient, divided by the factor
that their protocol states (`UpdateProtocol.multiple`), and the server's optimiser steps along its mean (Reddi et al.
2021, arXiv 2003.00295, Algorithm 1): one learning rate serves FedSGD, FedAvg and defences that change the scale.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from invbench.core import progress
from invbench.core.randomness import stream
from invbench.core.training import Training, backward, schedule
from invbench.defenses import Client, Context, Stack, mean
from invbench.federation import Utility
from invbench.observation import Labelled, Public, Tensors, Update
from invbench.protocol import Gradient
from invbench.protocol._batch_norm import bytes_shown
from invbench.protocol._gradient import gradient
from invbench.updates.client import sent_by_one
from invbench.updates.simulation import multiple_of, protocol_of
from invbench.victims.dealing import Share

WEIGHED = 20
"""Rounds, at even distances, of which messages are measured."""
BLOCK = 256
"""Held-out pictures that are classified at a time."""


@dataclass(frozen=True)
class Rounds:
    """What rounds cost: their number, wall seconds of one, bytes that one of its `clients` sends in one, on average.

    `unmoved`: tensors of weights that are as they were, because nobody shares them.
    """

    number: int
    clients: int
    seconds: float
    bytes: float
    unmoved: int


def federate(
    public: Public,
    network: nn.Module,
    pictures: Labelled,
    clients: Sequence[Share],
    stack: Stack,
    training: Training,
    utility: Utility,
    drawn_by: Sequence[object],
    defended_by: Sequence[object],
) -> Rounds:
    """Train `network` in place. `training`: as the defences of its stage left it; its steps are rounds.

    `drawn_by`: names of the stream that says who takes part. `defended_by`: of the streams of each client's own draws,
    one a round. Every client of a round counts alike. A `private` training has one batch a round, of all clients'
    pictures, drawn, clipped and noised by somebody whom all trust. ArithmeticError where what clients share is not
    finite.
    """
    optimizer = _optimizer(network, utility)
    factor = multiple_of(replace(public, batch_size=utility.batch_size)).factor
    taking_part = stream("federation: who takes part", *drawn_by)
    of_round = _private(public, network, pictures, training) if training.private is not None else None
    step, weighed = gradient_by(training), list[int]()
    shown = bytes_shown(network, protocol_of(public).batch_statistics)
    start = [parameter.detach().clone() for parameter in network.parameters()]
    started = time.perf_counter()
    for number in range(training.steps):
        some = [0] if of_round is not None else _drawn(len(clients), utility.taking_part, taking_part)
        contexts = [Context(stream("federated client", *defended_by, number, c)) for c in some]
        with torch.no_grad():
            if of_round is not None:
                sent = [stack.at("update", *of_round(number, contexts[0]))]
            else:
                batches = [clients[c].next(utility.batch_size) for c in some]
                sent = [
                    sent_by_one(public, network, pictures.images[b], pictures.labels[b], context, stack, step)
                    for b, context in zip(batches, contexts, strict=True)
                ]
            if number % max(1, training.steps // WEIGHED) == 0:
                weighed += [stack.message_bytes(shared, len(sent)) + shown for shared in sent]
            _take(network, mean(stack.at("aggregate", sent, contexts[0])), factor, number)
        for group in optimizer.param_groups:
            group["lr"] = utility.lr * schedule(number, training.steps)
        optimizer.step()
        progress.report("training in rounds", number + 1, training.steps, None)
    optimizer.zero_grad()
    unmoved = sum(torch.equal(now, before) for now, before in zip(network.parameters(), start, strict=True))
    seconds = (time.perf_counter() - started) / training.steps
    return Rounds(training.steps, len(some), seconds, sum(weighed) / len(weighed), unmoved)


@torch.no_grad()
def correct(network: nn.Module, pictures: Labelled) -> Tensor:
    """Which pictures the network puts into their own class, `(N,)` bool on the CPU.

    ArithmeticError where its scores are not numbers: of those the largest is the first class, whatever is seen.
    """
    found = list[Tensor]()
    for images, labels in zip(torch.split(pictures.images, BLOCK), torch.split(pictures.labels, BLOCK), strict=True):
        scores = network(images)
        if bool(scores.isnan().any()):
            raise ArithmeticError("training diverged: the trained network's scores are not numbers")
        found.append(scores.argmax(dim=1) == labels)
    return torch.cat(found).cpu()


def gradient_by(training: Training) -> Gradient:
    """The gradient that a client takes of a batch: of the training's loss, in the training's way."""
    if training.loss is cross_entropy and training.backward is backward:
        return gradient

    def of_batch(network: nn.Module, weights: Tensors, buffers: Tensors, images: Tensor, labels: Tensor) -> Update:
        own = copy.deepcopy(network)
        with torch.no_grad():
            for name, parameter in own.named_parameters():
                parameter.copy_(weights[name])
                parameter.grad = None
        with torch.enable_grad():
            training.backward(own, training.loss, images, labels)
        return tuple(torch.zeros_like(p) if p.grad is None else p.grad.detach() for p in own.parameters())

    return of_batch


def _private(
    public: Public, network: nn.Module, pictures: Labelled, training: Training
) -> Callable[[int, Context], tuple[Update, Context]]:
    """The noisy gradient of each round's batch, and the context of whoever shares it."""
    assert training.private is not None
    draws = stream("federation: private batches", training.private.seed)
    batches = training.private.batches(len(pictures.labels), training.steps, draws)
    take = training.private.backward(network, training.loss)

    def of_round(number: int, context: Context) -> tuple[Update, Context]:
        chosen = batches[number].to(pictures.labels.device)
        batch = pictures.images[chosen], pictures.labels[chosen]
        take(*batch)
        shared = tuple(torch.zeros_like(p) if p.grad is None else p.grad for p in network.parameters())
        return shared, replace(context, client=Client(public, copy.deepcopy(network), batch))

    return of_round


def _optimizer(network: nn.Module, utility: Utility) -> torch.optim.Optimizer:
    kind = torch.optim.Adam if utility.optimizer == "adam" else torch.optim.SGD
    return kind(network.parameters(), lr=utility.lr)


def _drawn(clients: int, count: int, generator: torch.Generator) -> list[int]:
    """Who takes part in a round, without repetition, in ascending order."""
    return sorted(torch.randperm(clients, generator=generator)[:count].tolist())


def _take(network: nn.Module, shared: Update, factor: float, number: int) -> None:
    """Put what is shared in the place of the gradient."""
    if not all(bool(tensor.isfinite().all()) for tensor in shared):
        raise ArithmeticError(f"training diverged: what clients share is not finite in round {number + 1}")
    for parameter, tensor in zip(network.parameters(), shared, strict=True):
        parameter.grad = (tensor / factor).to(parameter)
