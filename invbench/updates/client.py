"""What clients really send: their updates behind a stack of defences, as the server sees them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from invbench.defenses import Context, Stack, mean
from invbench.observation import Public, Update
from invbench.protocol._precision import multiplying
from invbench.updates.simulation import defended_gradient, protocol_of, simulate


def observed_update(
    public: Public, network: nn.Module, images: Tensor, labels: Tensor, stack: Stack, contexts: Sequence[Context]
) -> Update:
    """The mean of all clients' updates, each behind its own draws; one tensor a parameter, without an autograd graph.

    `images`: normalised `(pictures, C, H, W)`, client by client; `labels` `(pictures,)`. `contexts`: one a client, from
    whose stream its protocol's choices and its defences draw in turn.
    """
    with torch.no_grad():  # a graph would lead an attacker from the update back to the pictures
        batches = zip(images.chunk(public.clients), labels.chunk(public.clients), contexts, strict=True)
        sent = [_sent(public, network, *batch, stack) for batch in batches]
        seen = stack.at("aggregate", sent, contexts[0])
        return seen[0] if len(seen) == 1 else mean(seen)


def _sent(public: Public, network: nn.Module, images: Tensor, labels: Tensor, context: Context, stack: Stack) -> Update:
    """One client's update, defended; of copies, so that no part reaches the truth or the next client's victim."""
    network, images, labels = copy.deepcopy(network), images.clone(), labels.clone()
    draws = protocol_of(public).draw(len(images), context.generator)
    images, labels = stack.at("inputs", (images, labels), context)
    step = defended_gradient(stack, context)
    with multiplying(protocol_of(public).precision):
        shared = simulate(replace(public, clients=1), network, images, labels, gradient=step, draws=draws)
    return stack.at("update", shared, context)
