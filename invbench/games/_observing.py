"""What the server of game `update` sees of a round: the global model, the update, and nothing of the pictures."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from invbench.cell import Cell
from invbench.core.randomness import stream
from invbench.data import ImagePool
from invbench.defenses import Context
from invbench.games import Rerun
from invbench.games._batches import as_played, attackers_own, protocol_of, round_stack
from invbench.observation import Labelled, Public, SharedRound, Tensors, Update, UpdateObservation
from invbench.protocol import UpdateProtocol
from invbench.protocol._batch_norm import buffers_of, running, use_batch_statistics
from invbench.scoring.reconstruction import Truth
from invbench.updates.client import observed_update, shown_by_one
from invbench.victims import network_defenses, victim_artefacts
from invbench.victims.pictures import labelled, normalised

Seen = TypeVar("Seen", bound=UpdateObservation)


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
    played = as_played(cell, public)

    def contexts(round: int) -> list[Context]:
        """Of clients who draw anew in each round; the first draws as one that is alone."""
        later = ("round", round) if round else ()
        streams = [stream("client", cell.seed, names, number * clients + client, *later) for client in range(clients)]
        return [Context(one) for one in streams]

    def shared(round: int, network: nn.Module) -> Update:
        return observed_update(played, network, images, labels, stack, contexts(round), given)

    rounds = [SharedRound(model, shared(0, network))]
    for round in range(1, protocol_of(cell).rounds):
        model = moved(cell, rounds[-1])
        rounds.append(SharedRound(model, shared(round, model if protocol_of(cell).server_lr else network)))
    before = buffers_of(rounds[0].model) or {name: value.clone() for name, value in buffers.items()}
    shown = shown_by_one(played, rounds[0].model, images, labels, contexts(0)[0], stack, before)
    return UpdateObservation(
        public=public,
        model=rounds[0].model,
        update=rounds[0].update,
        labels=known,
        generator=stream("attack", cell.seed, cell.attack.key, number),
        device=device,
        rounds=tuple(rounds) if len(rounds) > 1 else (),
        buffers_before=before,
        buffers_after=shown.buffers,
        statistics=shown.statistics,
    )


def moved(cell: Cell, before: SharedRound) -> nn.Module:
    """The global model of the next round: the same one, or what the server makes of it by what it saw."""
    protocol = protocol_of(cell)
    if not protocol.server_lr:
        return before.model
    model, step = copy.deepcopy(before.model), protocol.server_step(cell.batch_size or 1)
    with torch.no_grad():
        for weight, direction in zip(model.parameters(), before.update, strict=True):
            weight.add_(step * direction)
    return model


def reference(cell: Cell, pool: ImagePool, count: int) -> Labelled | None:
    """The attacker's own pictures, in memory of their own; None where the protocol gives him none."""
    if not count:
        return None
    return labelled(pool, attackers_own(cell, pool)[:count], cell.normalisation)


def noise(cell: Cell, seen: Seen, index: int) -> Seen:
    """Noise in the place of every round's update, of the size of each of its tensors; what is asked stays as it is.

    Of BatchNorm it sees the running statistics in the batch's place.
    """
    drawn = stream("noise control", cell.seed, cell.offset + index)

    def noise_like(tensor: Tensor) -> Tensor:
        noise = torch.randn(tensor.shape, generator=drawn).to(tensor.device)
        scaled: Tensor = noise * tensor.norm() / noise.norm()
        return scaled

    rounds = [SharedRound(copy.deepcopy(seen.model), tuple(map(noise_like, seen.update)))]
    for one in seen.rounds[1:]:
        rounds.append(SharedRound(moved(cell, rounds[-1]), tuple(map(noise_like, one.update))))
    return replace(
        _without_the_batch(seen),
        update=rounds[0].update,
        generator=stream("attack", cell.seed, cell.attack.key, cell.offset + index),
        model=rounds[0].model,
        rounds=tuple(rounds) if len(rounds) > 1 else (),
    )


def reruns_on_noise(cell: Cell, rounds: Callable[[Cell, torch.device], Sequence[Seen]]) -> Mapping[str, Rerun[Seen]]:
    """`noise`: Gaussian noise of each tensor's own size in the update's place, whatever the client's defences.

    `rounds`: the observations that a cell deals.
    """
    bare = replace(cell, defense=network_defenses(cell))

    def instead(device: torch.device) -> list[Seen]:
        return [noise(bare, one, k) for k, one in enumerate(rounds(bare, device))]

    return {"noise": Rerun(bare, instead, victim_artefacts(bare))}


def _without_the_batch(seen: Seen) -> Seen:
    """The same where the statistics granted are the running ones: buffers that moved by what they were."""
    before, told = seen.buffers_before, running(seen.buffers_before)
    after = {name: value if value.is_floating_point() else value + 1 for name, value in before.items()}
    return replace(
        seen,
        buffers_after=None if seen.buffers_after is None else after,
        statistics=None if seen.statistics is None else {name: told[name] for name in seen.statistics},
    )
