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
from invbench.observation import Labelled, Public, Update, UpdateObservation
from invbench.protocol import UpdateProtocol
from invbench.protocol._batch_norm import use_batch_statistics
from invbench.scoring.reconstruction import Truth
from invbench.updates.client import observed_update
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
) -> UpdateObservation:
    number, clients = cell.offset + index, protocol_of(cell).clients
    labels = torch.from_numpy(batch.labels).to(device)
    known = labels[: public.pictures].clone() if public.labels == "known" else None  # the truth's own memory stays here
    names = [d.key for d in cell.defense or ()]
    contexts = [Context(stream("client", cell.seed, names, number * clients + client)) for client in range(clients)]
    images = normalised(batch.images, (public.mean, public.std)).to(device)
    return UpdateObservation(
        public=public,
        model=copy.deepcopy(network if given is None else given[0]),
        update=observed_update(public, network, images, labels, round_stack(cell), contexts, given),
        labels=known,
        generator=stream("attack", cell.seed, cell.attack.key, number),
        device=device,
    )


def reference(cell: Cell, pool: ImagePool, count: int) -> Labelled | None:
    """The attacker's own pictures, in memory of their own; None where the protocol gives him none."""
    if not count:
        return None
    return labelled(pool, attackers_own(cell, pool)[:count], cell.normalisation)


def noise(cell: Cell, seen: UpdateObservation, index: int) -> UpdateObservation:
    drawn = stream("noise control", cell.seed, cell.offset + index)
    update: list[Tensor] = []
    for tensor in seen.update:
        noise = torch.randn(tensor.shape, generator=drawn).to(tensor.device)
        update.append(noise * tensor.norm() / noise.norm())
    attacker = stream("attack", cell.seed, cell.attack.key, cell.offset + index)
    shared: Update = tuple(update)
    return replace(seen, update=shared, generator=attacker, model=copy.deepcopy(seen.model))
