"""The client as searches simulate it: what is shared of guessed pictures, in one round or in all of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from invbench.observation import Public, Update, UpdateObservation
from invbench.updates.moving import each_round
from invbench.updates.signals import Known, signals
from invbench.updates.simulation import gradient_of, multiple_of, protocol_of, simulator

Simulated = Callable[..., Update]
"""`(images, labels, held, factor=None)` to an update: `held` begins with the one seen, which may tell of draws
(`updates/signals.py`); `factor`: a scalar on the clients' loss. Tensors of all rounds follow one another."""


def client_of(seen: UpdateObservation, simulate: bool) -> Simulated:
    """Of observations of one global model in each round; without `simulate`, one mean gradient."""
    rounds = [_of_round(one, simulate) for one in each_round(seen)]
    if len(rounds) == 1:
        return rounds[0]
    count = len(seen.update)

    def joint(images: Tensor, labels: Tensor, held: Update, factor: Tensor | None = None) -> Update:
        own = (held[count * k : count * (k + 1)] for k in range(len(rounds)))
        return tuple(t for one, part in zip(rounds, own, strict=True) for t in one(images, labels, part, factor))

    return joint


def assumed_order(public: Public) -> str | None:
    """What is to be said where a client drew an order of its pictures, None where there is nothing to draw."""
    if not protocol_of(public).draw(public.batch_size, torch.Generator().manual_seed(0)):
        return None
    return f"what {public.protocol} draws is hidden: its client is simulated with its pictures in one order"


def _of_round(seen: UpdateObservation, simulate: bool) -> Simulated:
    known, share = _known(seen, simulate), simulator(seen.public, seen.model) if simulate else gradient_of(seen.model)

    def simulated(images: Tensor, labels: Tensor, held: Update, factor: Tensor | None = None) -> Update:
        told = known(held, images)
        return share(images, labels, *told) if factor is None else share(images, labels, *told, factor=factor)

    return simulated


def _known(seen: UpdateObservation, simulate: bool) -> Known:
    """Of an update the buffers of the model that it tells, by name (`updates/signals.py`); mostly none."""
    known, factor = signals(seen.public, seen.model), multiple_of(seen.public).factor if simulate else 1.0
    if factor == 1.0:
        return known
    return lambda update, images: known(tuple(tensor / factor for tensor in update), images)
