"""What clients would send of batches of the attacker's own pictures, behind the declared defences."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from invbench.core import progress
from invbench.defenses import Client, Context, Stack, mean
from invbench.observation import Labelled, Public, Update, UpdateObservation
from invbench.updates.client import sent_by_one
from invbench.updates.pooling import pool
from invbench.updates.simulation import hidden_scale, multiple_of, protocol_of, simulate, stack_of

Sends = Callable[[Tensor, Context], Update]
"""What a client sends of the pictures with these indexes, behind draws of a stream."""

HELD_OUT = 10
"""Every tenth picture is in no batch that is trained on: by those the attacker chooses the epoch that he keeps."""
_BATCHES, _CLIENTS = 1, 2  # seeds of the attacker's own draws: of what is in a batch, and of the clients that he plays
_REPORTED = 32


def too_few(public: Public) -> str | None:
    """Why there is nothing to learn from, or None: two batches of one and else one batch are held out."""
    if (hidden := hidden_scale(public)) is not None:
        return hidden
    count, size = 0 if public.reference is None else len(public.reference), public.pictures
    least = HELD_OUT * max(2, size)
    if count >= least:
        return None
    needed = f"at least {least} pictures of the attacker's own, to learn from"
    return f"needs {needed}: give the protocol `public: NUMBER`" if not count else f"needs {needed}, not {count}"


def held_out(count: int) -> Tensor:
    """Which of so many pictures are held out, `(count,)`."""
    return torch.arange(count) % HELD_OUT == HELD_OUT - 1


def drawn_batches(count: int, size: int, often: int) -> tuple[Tensor, Tensor]:
    """Batches of `size` of `count` pictures, by index, `(batches, size)`, and which are held out, `(batches,)`.

    About `often` batches a picture. Those held out and the others are shuffled apart and cut into batches, `often *
    size` times; what is left over waits for the next time. A batch of one is each picture once: drawn again, it would
    be the same.
    """
    apart = held_out(count)
    if size == 1:
        return torch.arange(count)[:, None], apart
    stream = torch.Generator().manual_seed(_BATCHES)

    def cut(members: Tensor) -> Tensor:
        whole = len(members) - len(members) % size
        orders = [members[torch.randperm(len(members), generator=stream)][:whole] for _ in range(often * size)]
        return torch.cat(orders).reshape(-1, size)

    taught, others = cut((~apart).nonzero()[:, 0]), cut(apart.nonzero()[:, 0])
    return torch.cat([taught, others]), torch.arange(len(taught) + len(others)) >= len(taught)


def own_updates(seen: UpdateObservation, own: Labelled, batches: Tensor) -> Iterator[Update]:
    """What the server would see of each of these batches `(batches, pictures)`, in as many rounds as it sees.

    Of several clients the mean is taken of what they send; what is done to the sum is left out, for it adds no more
    than rounding. Where a batch's update is the mean of its pictures' own, those are computed once each.
    """
    public, clients = seen.public, seen.public.clients
    stack, rounds = stack_of(public), len(seen.rounds) if seen.pooled else 1
    sent = _of_means(seen, own) if _adds_up(public, stack) else _played(seen, own)
    for k, batch in enumerate(batches.to(seen.device)):
        stream = Context(torch.Generator().manual_seed((k << 2) + _CLIENTS))
        with torch.no_grad():
            every = [mean([sent(part, stream) for part in batch.chunk(clients)]) for _ in range(rounds)]
        together = pool(stack, every, clients) if seen.pooled else None
        if k % _REPORTED == 0:
            progress.report("own updates", k + 1, len(batches))
        yield every[0] if together is None else together.update


def _played(seen: UpdateObservation, own: Labelled) -> Sends:
    """A client as it is."""
    stack, images, labels = stack_of(seen.public), own.images.to(seen.device), own.labels.to(seen.device)
    return lambda batch, stream: sent_by_one(seen.public, seen.model, images[batch], labels[batch], stream, stack)


def _adds_up(public: Public, stack: Stack) -> bool:
    """Whether the update of a batch, before defences act on it, is the mean of those of its pictures."""
    protocol = protocol_of(public)
    return (
        public.pictures > 1
        and multiple_of(public).exact
        and protocol.shared_as(1) == protocol.shared_as(public.batch_size)
        and protocol.batch_norm == "eval"
        and protocol.precision == "float32"
        and not (stack.acts("inputs") or stack.acts("per_example"))
    )


def _of_means(seen: UpdateObservation, own: Labelled) -> Sends:
    """A client whose batch's update is a mean of updates of single pictures, which are computed once."""
    stack, images, labels = stack_of(seen.public), own.images.to(seen.device), own.labels.to(seen.device)
    one, network = replace(seen.public, batch_size=1, clients=1), copy.deepcopy(seen.model)
    rows = list[Update]()
    with torch.no_grad():
        for k in range(len(own)):
            rows.append(simulate(one, network, images[k : k + 1], labels[k : k + 1]))
            if k % _REPORTED == 0:
                progress.report("own updates", k + 1, len(own))
    tensors = [torch.stack(of_one) for of_one in zip(*rows, strict=True)]  # (pictures, ...) a parameter

    def sent(batch: Tensor, stream: Context) -> Update:
        client = Client(seen.public, network, (images[batch], labels[batch]))
        shared = tuple(of_all[batch].mean(dim=0) for of_all in tensors)
        return stack.at("update", shared, replace(stream, client=client))

    return sent
