"""The network of a client whose parts do as they like, beside those of the next client and of the server."""

from __future__ import annotations

import torch
from made_updates import digits, victim

from invbench.updates.client import own_copies


def test_what_a_client_does_to_its_network_reaches_nobody_else() -> None:
    images, _ = digits(1)
    network = victim(images)
    before = [weight.detach().clone() for weight in network.parameters()]
    fresh = own_copies(network)
    first = fresh()
    with torch.no_grad():
        for weight in first.parameters():
            weight.fill_(7)
            weight.grad = torch.ones_like(weight)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), before, strict=True))
    later = fresh()
    assert all(torch.equal(a, b) and a.grad is None for a, b in zip(later.parameters(), before, strict=True))


def test_each_client_is_given_the_network_as_it_then_is() -> None:
    images, _ = digits(1)
    network = victim(images)
    fresh = own_copies(network)
    fresh()
    with torch.no_grad():
        next(network.parameters()).add_(1)
    assert torch.equal(next(fresh().parameters()), next(network.parameters()))


def test_a_client_that_leaves_tensors_of_other_shapes_leaves_them_to_nobody() -> None:
    images, _ = digits(1)
    network = victim(images)
    network.register_buffer("drawn", torch.zeros(0))
    fresh = own_copies(network)
    fresh().drawn = torch.ones(2)
    assert fresh().drawn.shape == (0,)
    assert all(torch.equal(a, b) for a, b in zip(fresh().parameters(), network.parameters(), strict=True))
