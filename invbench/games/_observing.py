"""What the server of game `update` sees of a round: the global model, the update, and nothing of the pictures."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from invbench.cell import Cell
from invbench.core.randomness import stream
from invbench.data import ImagePool
from invbench.defenses import Context
from invbench.games._batches import attackers_own, protocol_of, round_stack
from invbench.observation import Labelled, Public, SharedRound, Tensors, Update, UpdateObservation
from invbench.protocol import UpdateProtocol
from invbench.protocol._batch_norm import buffers_of, running, use_batch_statistics
from invbench.scoring.reconstruction import Truth
from invbench.updates.client import observed_update, shown_by_one
from invbench.victims.pictures import labelled, normalised


def in_mode(network: nn.Module, protocol: UpdateProtocol) -> nn.Module:
    return use_batch_statistics(network) if protocol.batch_norm == "train" else network


def observe(
    cell: Cell,
    public: Public,
    network: nn.Module,
    given: Sequence[nn.Module] | None,
    batch: Truth,
    index: int,
    device: torch.device,
    buffers: Tensors,
) -> UpdateObservation:
    """`buffers`: what BatchNorm remembers in the global model, which `network` may have forgotten (`in_mode`)."""
    number, clients = cell.offset + index, protocol_of(cell).clients
    labels = torch.from_numpy(batch.labels).to(device)
    known = labels[: public.pictures].clone() if public.labels == "known" else None  # the truth's own memory stays here
    names = [d.key for d in cell.defense or ()]
    images = normalised(batch.images, (public.mean, public.std)).to(device)
    stack, model = round_stack(cell), copy.deepcopy(network if given is None else given[0])

    def contexts(round: int) -> list[Context]:
        """Of clients who draw anew in each round; the first draws as one that is alone."""
        later = ("round", round) if round else ()
        streams = [stream("client", cell.seed, names, number * clients + client, *later) for client in range(clients)]
        return [Context(one) for one in streams]

    def shared(round: int) -> Update:
        return observed_update(public, network, images, labels, stack, contexts(round), given)

    updates = [shared(round) for round in range(protocol_of(cell).rounds)]
    before = buffers_of(model) or {name: value.clone() for name, value in buffers.items()}
    shown = shown_by_one(public, model, images, labels, contexts(0)[0], stack, before)
    return UpdateObservation(
        public=public,
        model=model,
        update=updates[0],
        labels=known,
        generator=stream("attack", cell.seed, cell.attack.key, number),
        device=device,
        rounds=tuple(SharedRound(model, update) for update in updates) if len(updates) > 1 else (),
        buffers_before=before,
        buffers_after=shown.buffers,
        statistics=shown.statistics,
    )


def reference(cell: Cell, pool: ImagePool, count: int) -> Labelled | None:
    """The attacker's own pictures, in memory of their own; None where the protocol gives him none."""
    if not count:
        return None
    return labelled(pool, attackers_own(cell, pool)[:count], cell.normalisation)


def noise(cell: Cell, seen: UpdateObservation, index: int) -> UpdateObservation:
    """Noise in the place of every round's update, of the size of each of its tensors.

    Of BatchNorm it sees the running statistics in the batch's place.
    """
    drawn = stream("noise control", cell.seed, cell.offset + index)

    def noise_like(tensor: Tensor) -> Tensor:
        noise = torch.randn(tensor.shape, generator=drawn).to(tensor.device)
        scaled: Tensor = noise * tensor.norm() / noise.norm()
        return scaled

    model, shared = copy.deepcopy(seen.model), tuple(map(noise_like, seen.update))
    later = [SharedRound(model, tuple(map(noise_like, one.update))) for one in seen.rounds[1:]]
    return replace(
        _without_the_batch(seen),
        update=shared,
        generator=stream("attack", cell.seed, cell.attack.key, cell.offset + index),
        model=model,
        rounds=(SharedRound(model, shared), *later) if later else (),
    )


def _without_the_batch(seen: UpdateObservation) -> UpdateObservation:
    """The same where the statistics granted are the running ones: buffers that moved by what they were."""
    before, told = seen.buffers_before, running(seen.buffers_before)
    after = {name: value if value.is_floating_point() else value + 1 for name, value in before.items()}
    return replace(
        seen,
        buffers_after=None if seen.buffers_after is None else after,
        statistics=None if seen.statistics is None else {name: told[name] for name in seen.statistics},
    )
