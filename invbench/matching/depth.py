"""How deep in a network each of its parameters is."""

from __future__ import annotations

import copy

import torch

from invbench.observation import Public


def depths(public: Public) -> list[float]:
    """Of each parameter, in the order of an update, the share of layers that are called before its own: from 0 on.

    A layer is a module with parameters of its own, and stands where it is first called; one that is never called stands
    behind all others.
    """
    network, order = copy.deepcopy(public.network), list[str]()
    owners = dict.fromkeys(name.rpartition(".")[0] for name, _ in network.named_parameters())
    for name, module in network.named_modules():
        if name in owners:
            module.register_forward_pre_hook(lambda *_, name=name: order.append(name))
    with torch.no_grad():
        network(torch.zeros(1, *public.image_shape, device="meta"))
    place = {name: k for k, name in enumerate(dict.fromkeys([*order, *owners]))}
    return [place[name.rpartition(".")[0]] / len(place) for name, _ in network.named_parameters()]
