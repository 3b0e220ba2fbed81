"""Game `participation`: who takes part in which round, with which pictures, and what the server sees of it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from invbench.cell import Cell, Choice
from invbench.core.randomness import numpy_stream, stream
from invbench.data import ImagePool
from invbench.defenses import NO_DEFENSES, Client, Context, Stack, Stage, flatten
from invbench.defenses import mean as averaged
from invbench.games._batches import clients_seen, round_stack, target_pool
from invbench.observation import Labelled, Public, Update
from invbench.protocol.many_rounds import ManyRounds
from invbench.registry import load
from invbench.updates.client import observed_update
from invbench.updates.simulation import protocol_of as client_of
from invbench.victims import Indexes, pool_of
from invbench.victims.pictures import labelled

_AFTER: frozenset[Stage] = frozenset({"training", "update", "aggregate"})
"""Stages of defences that leave alone how a client computes its update."""


def many_rounds_of(cell: Cell) -> ManyRounds:
    """The cell's protocol."""
    assert cell.protocol is not None
    return cell.protocol.build(ManyRounds)


def own_pictures(cell: Cell) -> int:
    """How many pictures each client has."""
    assert cell.batch_size is not None
    return many_rounds_of(cell).pictures or cell.batch_size


def one_round(cell: Cell) -> Cell:
    """The cell as if it had one round, of those who take part: for what helps games of one update."""
    asked = many_rounds_of(cell)
    name, given = ("fedsgd", {}) if asked.steps == 1 else ("fedavg", {"steps": asked.steps, "lr": asked.lr})
    part = load("protocol", name)
    settings = part.settings({**given, "clients": asked.taking_part, "labels": asked.labels})
    return replace(cell, protocol=Choice("protocol", name, tuple(settings.items())))


@dataclass(frozen=True, eq=False)
class Attendance:
    """One target's rounds. `order` `(T, m)`: who takes part, drawn; `seen`: the first so many of them are in the sum.

    `pictures` `(n, N)`: indexes of each client's own; `batches` `(T, m, B)`: places among them, rising.
    """

    order: npt.NDArray[np.int64]
    seen: int
    pictures: Indexes
    batches: npt.NDArray[np.int64]

    @property
    def participation(self) -> npt.NDArray[np.bool_]:
        """Whose update is in which round's sum, `(T, n)`."""
        found = np.zeros((len(self.order), len(self.pictures)), dtype=bool)
        np.put_along_axis(found, self.order[:, : self.seen], True, axis=1)
        return found


def attendance(cell: Cell, pool: ImagePool, number: int) -> Attendance:
    """Target `number`: pictures number * n * N .. of the target pool, client by client; a draw of its own of rounds."""
    asked, own = many_rounds_of(cell), own_pictures(cell)
    assert cell.batch_size is not None
    every = asked.clients * own
    chosen = target_pool(cell, pool)[number * every : (number + 1) * every].reshape(asked.clients, own)
    drawn = numpy_stream("participation", cell.seed, cell.data_hash, number)
    order = np.stack([drawn.permutation(asked.clients)[: asked.taking_part] for _ in range(asked.rounds)])
    batches = np.stack(
        [
            [np.sort(drawn.permutation(own)[: cell.batch_size]) for _ in range(asked.taking_part)]
            for _ in range(asked.rounds)
        ]
    )
    return Attendance(order, clients_seen(one_round(cell)), chosen, batches)


@dataclass(frozen=True, eq=False)
class Rounds:
    """`sums` `(T, d)`, float32: of each round what the server sees, times its clients.

    `own` `(n, d)`: each client's update without its defences, its mean over the rounds in which it is in the sum; zeros
    for who never is.
    """

    sums: Tensor
    own: npt.NDArray[np.float64]


def played(cell: Cell, public: Public, network: nn.Module, of: Attendance, number: int, device: torch.device) -> Rounds:
    """Run all rounds. The network, in the clients' mode, is left as it is; where the server steps, a copy moves."""
    asked, stack = many_rounds_of(cell), round_stack(one_round(cell))
    names, fixed = [d.key for d in cell.defense or ()], own_pictures(cell) == cell.batch_size and not asked.server_lr
    factor = client_of(public).shared_as(public.batch_size).factor
    after = all(set(one.stages()) <= _AFTER for one in stack.defenses)
    network, bare = copy.deepcopy(network), dict[int, Update]()
    sums, own = [], torch.zeros(len(of.pictures), sum(p.numel() for p in network.parameters()), dtype=torch.float64)
    for t, (some, batches) in enumerate(zip(of.order.tolist(), of.batches, strict=True)):
        contexts = [Context(stream("participation client", cell.seed, names, number, t, client)) for client in some]
        theirs = [_batch(cell, of.pictures[c][batch], device) for c, batch in zip(some, batches, strict=True)]
        for client, batch in zip(some, theirs, strict=True):
            if client not in bare or not fixed:
                bare[client] = _bare(public, network, batch)
        if after:
            mean = _sent_and_summed(public, network, [bare[client] for client in some], theirs, stack, contexts)
        else:
            images, labels = torch.cat([one.images for one in theirs]), torch.cat([one.labels for one in theirs])
            mean = observed_update(public, network, images, labels, stack, contexts)
        sums.append(flatten(mean)[0] * of.seen)
        for client in some[: of.seen]:
            own[client] += flatten(bare[client])[0].double().cpu()
        if asked.server_lr:
            _step(network, mean, asked.server_lr / factor)
    times = torch.from_numpy(of.participation.sum(axis=0)).clamp_min(1)[:, None]
    return Rounds(torch.stack(sums).float(), (own / times).numpy())


def _batch(cell: Cell, chosen: Indexes, device: torch.device) -> Labelled:
    own = labelled(pool_of(cell), chosen, cell.normalisation)
    return Labelled(own.images.to(device), own.labels.to(device))


def _bare(public: Public, network: nn.Module, batch: Labelled) -> Update:
    """What a client shares, were there no defence of updates."""
    context = Context(torch.Generator().manual_seed(0))  # nobody draws: no protocol here does, and no defence acts
    return observed_update(public, network, batch.images, batch.labels, NO_DEFENSES, [context])


def _sent_and_summed(
    public: Public,
    network: nn.Module,
    shared: Sequence[Update],
    batches: Sequence[Labelled],
    stack: Stack,
    contexts: Sequence[Context],
) -> Update:
    """`observed_update` of what clients share, where no defence acts before they have it: the same bits, sooner."""
    with torch.no_grad():
        sent = [
            stack.at("update", one, replace(context, client=Client(public, network, (batch.images, batch.labels))))
            for one, batch, context in zip(shared, batches, contexts, strict=True)
        ]
        return averaged(stack.at("aggregate", sent, contexts[0]))


def _step(network: nn.Module, mean: Update, rate: float) -> None:
    """Take the network against this direction."""
    with torch.no_grad():
        for weight, direction in zip(network.parameters(), mean, strict=True):
            weight.sub_(rate * direction)
