"""A network from updates to the pictures behind them, trained on the attacker's own (Wu et al. 2022, arXiv 2210.10880).

The attacker has labelled pictures of his own, the global model and the declared defences: he computes what a client
would send of each picture and learns the way back. Whatever a defence does, known or without a formula, is in the
updates that he trains on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.core import progress
from invbench.defenses import Context
from invbench.observation import Labelled, Public, Update, UpdateObservation
from invbench.updates.client import sent_by_one
from invbench.updates.pooling import pool
from invbench.updates.simulation import stack_of

BATCH = 32
HELD_OUT = 10
"""Every tenth picture is not trained on: by its error the attacker chooses the epoch that he keeps."""
FARTHEST = 5.0
"""Standard deviations at which a feature is cut off: gradients have heavy tails, and rare entries would lead."""
_BUCKETS, _CLIENTS = 1, 2  # seeds of the attacker's own draws: of the hashing, and of the clients that he plays
_EDGE = 1e-3  # how near to black or white the mean picture may be, of which the network's start gives the logit


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """`features`: most numbers that an update is hashed to. `hidden`: units of each of two layers. `rate`: Adam's."""

    features: int
    hidden: int
    epochs: int
    rate: float


@dataclass(frozen=True, eq=False)
class Inverse:
    """A trained network: one update in, its picture `(C, H, W)` in [0, 1] out.

    `held_out`: its mean squared error on the pictures that it did not train on; `untaught`: that of their mean.
    """

    picture: Callable[[Update], Tensor]
    held_out: float
    untaught: float


def learned(seen: UpdateObservation, recipe: Recipe) -> Inverse:
    """The way back from updates of this global model, behind the declared defences, to single pictures.

    min over f of the mean of |f(update(x)) - x|^2, by Adam in batches of 32, its rate falling to 0. All draws are the
    attacker's own and fixed: the network depends on the model and on what is public alone. An update is hashed to at
    most `features` numbers (each entry is added, with a drawn sign, to a drawn one), each of which is standardised.
    """
    own = seen.public.reference
    assert own is not None
    hashed = _hashing(sum(tensor.numel() for tensor in seen.update), recipe.features, seen.device)
    rows = torch.stack([hashed(update) for update in _updates(seen, own)])  # (n, F)
    pictures = seen.to_unit_range(own.images.to(seen.device)).flatten(1)  # (n, D)
    kept_back = torch.arange(len(rows)) % HELD_OUT == HELD_OUT - 1
    centre, spread = rows[~kept_back].mean(dim=0), rows[~kept_back].std(dim=0)
    spread = torch.where(spread > 0, spread, torch.inf)

    def standardised(features: Tensor) -> Tensor:
        return ((features - centre) / spread).clamp(-FARTHEST, FARTHEST)

    network, losses = _trained(standardised(rows), pictures, kept_back.to(seen.device), recipe)
    shape = seen.public.image_shape

    def picture(update: Update) -> Tensor:
        with torch.no_grad():
            found: Tensor = network(standardised(hashed(update))[None])
        return found.reshape(shape)

    return Inverse(picture, min(losses), losses[0])


def too_few(public: Public) -> str | None:
    """Why there is nothing to learn from, or None."""
    count = 0 if public.reference is None else len(public.reference)
    if count >= 2 * HELD_OUT:
        return None
    needed = f"at least {2 * HELD_OUT} pictures of the attacker's own, to learn from"
    return f"needs {needed}: give the protocol `public: NUMBER`" if not count else f"needs {needed}, not {count}"


def _updates(seen: UpdateObservation, own: Labelled) -> list[Update]:
    """What a client with each of these pictures would send: a sum of one adds no more than rounding."""
    stack, public, found = stack_of(seen.public), seen.public, list[Update]()
    images, labels = own.images.to(seen.device), own.labels.to(seen.device)
    rounds = len(seen.rounds) if seen.pooled else 1
    for k in range(len(own)):
        client = Context(torch.Generator().manual_seed((k << 2) + _CLIENTS))
        with torch.no_grad():
            batch = images[k : k + 1], labels[k : k + 1]
            sent = [sent_by_one(public, seen.model, *batch, client, stack) for _ in range(rounds)]
        together = pool(stack, sent) if seen.pooled else None
        found.append(sent[0] if together is None else together.update)
        if k % BATCH == 0:
            progress.report("own updates", k + 1, len(own))
    return found


def _hashing(size: int, features: int, device: torch.device) -> Callable[[Update], Tensor]:
    """Feature hashing (Weinberger et al. 2009, arXiv 0902.2206) of updates of `size` entries, to at most `features`."""

    def flat(update: Update) -> Tensor:
        return torch.cat([tensor.flatten().to(device, torch.float32) for tensor in update])

    if size <= features:
        return flat
    drawn = torch.Generator().manual_seed(_BUCKETS)
    buckets = torch.randint(features, (size,), generator=drawn).to(device)
    signs = (2.0 * torch.randint(2, (size,), generator=drawn) - 1).to(device)
    empty = torch.zeros(features, device=device)
    return lambda update: empty.index_add(0, buckets, signs * flat(update))


def _trained(rows: Tensor, pictures: Tensor, kept_back: Tensor, recipe: Recipe) -> tuple[nn.Module, list[float]]:
    """The network at its best epoch, and the held-out error after each, first that of the mean picture it starts at."""
    network = _start(rows.shape[1], pictures[~kept_back].mean(dim=0), recipe.hidden).to(rows.device)
    taught, answers = rows[~kept_back], pictures[~kept_back]
    stream = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.rate)
    steps = recipe.epochs * math.ceil(len(taught) / BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = [_error(network, rows[kept_back], pictures[kept_back])]
    best = {name: value.clone() for name, value in network.state_dict().items()}
    for epoch in range(recipe.epochs):
        for chosen in torch.split(torch.randperm(len(taught), generator=stream), BATCH):
            there = chosen.to(rows.device)
            loss = (network(taught[there]) - answers[there]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        losses.append(_error(network, rows[kept_back], pictures[kept_back]))
        if losses[-1] == min(losses):
            best = {name: value.clone() for name, value in network.state_dict().items()}
        progress.report("attack", epoch + 1, recipe.epochs, losses[-1])
    network.load_state_dict(best)
    return network, losses


def _start(features: int, mean: Tensor, hidden: int) -> nn.Module:
    """Two hidden layers; the last gives the mean picture at first, whatever goes in."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(0)
        last = nn.Linear(hidden, len(mean))
        layers = [nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), last, nn.Sigmoid()]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(mean.cpu().clamp(_EDGE, 1 - _EDGE).logit())
    return nn.Sequential(*layers)


def _error(network: nn.Module, rows: Tensor, pictures: Tensor) -> float:
    with torch.no_grad():
        return float((network(rows) - pictures).square().mean())
