"""A network from updates to the pictures behind them, trained on the attacker's own (Wu et al. 2022, arXiv 2210.10880).

The attacker has labelled pictures of his own, the global model and the declared defences: he computes what a client
would send of each batch of them and learns the way back. Whatever a defence does, known or without a formula, is in the
updates that he trains on.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.core import progress
from invbench.inversion.own_updates import drawn_batches, held_out, own_updates
from invbench.inversion.reader import Reader
from invbench.inversion.unordered import in_the_best_order
from invbench.observation import Update, UpdateObservation

BATCH = 32
FARTHEST = 5.0
"""Standard deviations at which a feature is cut off: gradients have heavy tails, and rare entries would lead."""
_BUCKETS = 1  # seed of the hashing


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """`features`: most numbers that an update is hashed to. `hidden`: units of each of two layers. `rate`: Adam's.

    `batches`: how many are made for each of the attacker's own pictures, where a batch has several.
    """

    features: int
    hidden: int
    epochs: int
    rate: float
    batches: int


@dataclass(frozen=True, eq=False)
class Inverse:
    """A trained network: one update in, its pictures `(B, C, H, W)` in [0, 1] out.

    `pictures(update, labels)`: of several pictures whose labels `(B,)` are known, in their order. `held_out`: its mean
    squared error on the batches that it did not train on; `untaught`: that of the mean picture, of each label where
    labels are known. `updates`: how many it learned from.
    """

    pictures: Callable[[Update, Tensor | None], Tensor]
    held_out: float
    untaught: float
    updates: int


@dataclass(frozen=True, eq=False)
class _Batches:
    """`rows` `(n, F)`: what is seen of each batch. `pictures` `(n, B, D)`: those behind it. `labels` `(n, B)`: theirs,
    ascending, where the network is told them."""

    rows: Tensor
    pictures: Tensor
    labels: Tensor | None

    @classmethod
    def of(cls, rows: Tensor, pictures: Tensor, labels: Tensor | None, batches: Tensor) -> _Batches:
        """Those with these indexes `(n, B)` among `pictures` `(N, D)` with `labels` `(N,)`."""
        if labels is None:
            return cls(rows, pictures[batches], None)
        ascending = batches.gather(1, labels[batches].argsort(dim=1, stable=True))
        return cls(rows, pictures[ascending], labels[ascending])

    def only(self, chosen: Tensor) -> _Batches:
        labels = None if self.labels is None else self.labels[chosen]
        return _Batches(self.rows[chosen], self.pictures[chosen], labels)


def learned(seen: UpdateObservation, recipe: Recipe) -> Inverse:
    """The way back from updates of this global model, behind the declared defences, to the pictures of a batch.

    min over f of the mean over batches of min over orders p of |f(update(x)) - p(x)|^2, by Adam, 32 batches at a time,
    its rate falling to 0. Where the labels of several pictures are known the network is told them, and pictures change
    places with those of their own label alone. All draws are the attacker's own and fixed: the network depends on the
    model and on what is public alone. An update is hashed to at most `features` numbers (each entry is added, with a
    drawn sign, to a drawn one), each of which is standardised.
    """
    own, public = seen.public.reference, seen.public
    assert own is not None
    batches, kept_back = drawn_batches(len(own), public.pictures, recipe.batches)
    hashed = _hashing(sum(tensor.numel() for tensor in seen.update), recipe.features, seen.device)
    rows = torch.stack([hashed(update) for update in own_updates(seen, own, batches)])  # (n, F)
    centre, spread = rows[~kept_back].mean(dim=0), rows[~kept_back].std(dim=0)
    spread = torch.where(spread > 0, spread, torch.inf)

    def standardised(features: Tensor) -> Tensor:
        return ((features - centre) / spread).clamp(-FARTHEST, FARTHEST)

    pictures, labels = seen.to_unit_range(own.images.to(seen.device)).flatten(1), own.labels.to(seen.device)
    taught = ~held_out(len(own)).to(seen.device)
    told = (labels[taught], public.classes) if seen.labels is not None and public.pictures > 1 else None
    made = _Batches.of(standardised(rows), pictures, labels if told else None, batches.to(seen.device))
    network = Reader(rows.shape[1], recipe.hidden, public.pictures, pictures[taught], told)
    losses = _trained(network, made, kept_back.to(seen.device), recipe)

    def answer(update: Update, labels: Tensor | None) -> Tensor:
        order = torch.arange(public.pictures) if told is None or labels is None else labels.argsort(stable=True)
        with torch.no_grad():
            known = None if told is None or labels is None else labels[order][None]
            found: Tensor = network(standardised(hashed(update))[None], known)
        return found[0, order.argsort()].reshape(-1, *public.image_shape)

    return Inverse(answer, min(losses), losses[0], len(batches))


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


def _trained(network: Reader, made: _Batches, kept_back: Tensor, recipe: Recipe) -> list[float]:
    """Take the network to its best epoch. The held-out error after each, first that of the mean it starts at."""
    taught, others = made.only(~kept_back), made.only(kept_back)
    stream = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.rate)
    steps = recipe.epochs * math.ceil(len(taught.rows) / BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = [_held_out_error(network, others)]
    best = copy.deepcopy(network.state_dict())
    for epoch in range(recipe.epochs):
        for chosen in torch.split(torch.randperm(len(taught.rows), generator=stream), BATCH):
            loss = _error(network, taught.only(chosen.to(taught.rows.device)))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        losses.append(_held_out_error(network, others))
        if losses[-1] == min(losses):
            best = copy.deepcopy(network.state_dict())
        progress.report("attack", epoch + 1, recipe.epochs, losses[-1])
    network.load_state_dict(best)
    return losses


def _held_out_error(network: Reader, batches: _Batches) -> float:
    with torch.no_grad():
        return float(_error(network, batches))


def _error(network: Reader, batches: _Batches) -> Tensor:
    """The mean squared error, each batch in the order that fits best."""
    answers: Tensor = network(batches.rows, batches.labels)
    pictures = batches.pictures
    if pictures.shape[1] > 1:
        pictures = in_the_best_order(pictures, answers, batches.labels)
    return (answers - pictures).square().mean()
