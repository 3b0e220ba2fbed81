"""What clients really send: their updates behind a stack of defences, as the server sees them, and what else."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import torch
from torch import Tensor, nn

from invbench.defenses import Client, Context, Stack, mean
from invbench.defenses._contract import BrokenContract
from invbench.observation import BatchStatistics, Public, Tensors, Update
from invbench.protocol import Gradient
from invbench.protocol._batch_norm import buffers_after, statistics_of
from invbench.protocol._gradient import gradient
from invbench.protocol._precision import multiplying
from invbench.updates.arithmetic import through_weights
from invbench.updates.simulation import defended_gradient, protocol_of, simulate


@dataclass(frozen=True, eq=False)
class Shown:
    """What a client shares beside its update: BatchNorm's `buffers` as it leaves them, or its batch's `statistics`."""

    buffers: Tensors | None = None
    statistics: Mapping[str, BatchStatistics] | None = None


def observed_update(
    public: Public,
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    stack: Stack,
    contexts: Sequence[Context],
    given: Sequence[nn.Module] | None = None,
) -> Update:
    """The mean of all clients' updates, each behind its own draws; one tensor a parameter, without an autograd graph.

    `images`: normalised `(pictures, C, H, W)`, client by client; `labels` `(pictures,)`. `contexts`: one a client, from
    whose stream its protocol's choices and its defences draw in turn. `given`: the network of each client, where a
    malicious server gives each its own; ValueError where clients compare them and they differ.
    """
    networks = [network] * len(contexts) if given is None else given
    if protocol_of(public).model_check and len({fingerprint(one) for one in {id(n): n for n in networks}.values()}) > 1:
        raise ValueError("clients were given different models and compare them (model_check): they share nothing")
    with torch.no_grad():  # a graph would lead an attacker from the update back to the pictures
        batches = zip(networks, images.chunk(len(contexts)), labels.chunk(len(contexts)), contexts, strict=True)
        sent = [sent_by_one(public, *batch, stack) for batch in batches]
        aggregated = stack.at("aggregate", sent, contexts[0])
        seen = aggregated[0] if len(aggregated) == 1 else mean(aggregated)
        every = replace(public, clients=len(contexts))
        if stack.defenses and not _finite(seen) and _finite(simulate(every, copy.deepcopy(network), images, labels)):
            names = ", ".join(type(defense).__name__ for defense in stack.defenses)
            raise BrokenContract(f"defence {names}: the update is finite without it and not with it")
        return seen


def fingerprint(network: nn.Module) -> str:
    """SHA-256 of a network's weights and buffers, by which clients tell whether they were given the same."""
    found = sha256()
    for name, tensor in network.state_dict().items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _finite(update: Update) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in update)


def sent_by_one(
    public: Public,
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    context: Context,
    stack: Stack,
    gradient: Gradient = gradient,
) -> Update:
    """One client's update, defended; of copies, so that no part reaches the truth or the next client's victim.

    `gradient`: that of a batch, before defences act on its examples.
    """
    network = copy.deepcopy(network)
    client, draws = _client(public, network, images, labels, context, stack)
    images, labels = client.batch
    context = replace(context, client=client)
    step = defended_gradient(stack, context, gradient)
    with multiplying(protocol_of(public).precision):
        shared = simulate(replace(public, clients=1), network, images, labels, gradient=step, draws=draws)
    sent = stack.at("update", shared, context)
    return through_weights(sent, tuple(network.parameters())) if protocol_of(public).sends_weights else sent


def shown_by_one(
    public: Public,
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    context: Context,
    stack: Stack,
    before: Tensors,
) -> Shown:
    """What the protocol grants of BatchNorm's statistics of one client's batch, behind the defences of its pictures.

    `context`: of a stream as `sent_by_one` had it, so that it draws the same. `before`: the global model's buffers.
    """
    grant = protocol_of(public).batch_statistics
    if grant == "before":
        return Shown()
    client, _ = _client(public, copy.deepcopy(network), images, labels, context, stack)
    with torch.no_grad(), multiplying(protocol_of(public).precision):
        if grant == "after":
            return Shown(buffers=buffers_after(client.network, before, client.batch[0]))
        return Shown(statistics=statistics_of(client.network, client.batch[0]))


def _client(
    public: Public, network: nn.Module, images: Tensor, labels: Tensor, context: Context, stack: Stack
) -> tuple[Client, Tensors]:
    """A client with its own network and copies of its pictures, its batch as defences leave it, and what it draws."""
    images, labels = images.clone(), labels.clone()
    draws = protocol_of(public).draw(len(images), context.generator)
    context = replace(context, client=Client(public, network, (images, labels)))
    return Client(public, network, stack.at("inputs", (images, labels), context)), draws
