"""What clients really send: their updates behind a stack of defences, as the server sees them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256

import torch
from torch import Tensor, nn

from invbench.defenses import Client, Context, Stack, mean
from invbench.defenses._contract import BrokenContract
from invbench.observation import Public, Update
from invbench.protocol import Gradient
from invbench.protocol._gradient import gradient
from invbench.protocol._precision import multiplying
from invbench.updates.simulation import defended_gradient, protocol_of, simulate


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
        own = map(copy.deepcopy, networks)
        batches = zip(own, images.chunk(len(contexts)), labels.chunk(len(contexts)), contexts, strict=True)
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


def own_copies(network: nn.Module) -> Callable[[], nn.Module]:
    """Gives a client after the other a copy of the network as it then is, one in the place of the other.

    To copy weights is a tenth of the work of copying modules, and the half of a small network's round. Where a client
    left tensors of other shapes (buffers that hold its draws) the modules are copied.
    """
    own = [copy.deepcopy(network)]

    def fresh() -> nn.Module:
        mine, given = _tensors(own[0]), _tensors(network)
        if [one.shape for one in mine] != [one.shape for one in given]:
            own[0] = copy.deepcopy(network)
            return own[0]
        with torch.no_grad():
            for one, there in zip(mine, given, strict=True):
                one.copy_(there)
                one.grad = None
        return own[0]

    return fresh


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


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
    """One client's update, defended; of copies of its pictures, so that no part reaches the truth.

    `network`: the client's own, which parts may reach: nobody else's, and no later client's (`own_copies`).
    `gradient`: that of a batch, before defences act on its examples.
    """
    images, labels = images.clone(), labels.clone()
    draws = protocol_of(public).draw(len(images), context.generator)
    context = replace(context, client=Client(public, network, (images, labels)))
    images, labels = stack.at("inputs", (images, labels), context)
    context = replace(context, client=Client(public, network, (images, labels)))
    step = defended_gradient(stack, context, gradient)
    with multiplying(protocol_of(public).precision):
        shared = simulate(replace(public, clients=1), network, images, labels, gradient=step, draws=draws)
    return stack.at("update", shared, context)
