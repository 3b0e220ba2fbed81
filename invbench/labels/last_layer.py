"""The last fully connected layer: its gradient as the server sees it, and what its features can be."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from invbench.observation import Public, UpdateObservation
from invbench.updates.simulation import as_gradient

_NEVER_NEGATIVE = (nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Hardsigmoid, nn.Softplus)
_KEEP_SIGNS = (nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
"""Layers whose output is not negative where their input is not."""

INSTEAD = "`labels: ilrg` and `rlu` do without signs"


@dataclass(frozen=True, eq=False)
class LastLayer:
    """dL/dW `(K, F)` and dL/db `(K,)` (None: no bias) of the mean loss, on the observation's device, as it was sent."""

    name: str
    weight: Tensor
    bias: Tensor | None

    def double(self) -> LastLayer:
        """The same in float64 on the CPU, where counts are computed."""
        bias = None if self.bias is None else self.bias.detach().double().cpu()
        return LastLayer(self.name, self.weight.detach().double().cpu(), bias)


def last_layer(seen: UpdateObservation) -> LastLayer:
    """Of the update taken for a mean gradient; ValueError where the network does not end in such a layer."""
    last = seen.public.last_linear()
    if last is None:
        raise ValueError(f"{seen.public.model} does not end in a fully connected layer")
    return LastLayer(last[0], *replace(seen, update=as_gradient(seen)).update_of(last[0]))


def never_negative(public: Public) -> bool:
    """Whether what the last layer sees comes from an activation that is never negative, as far as modules tell."""
    network, called = copy.deepcopy(public.network), list[nn.Module]()
    for layer in network.modules():
        if not any(True for _ in layer.children()):
            layer.register_forward_pre_hook(lambda layer, _: called.append(layer))
    with torch.no_grad():
        network(torch.zeros(1, *public.image_shape, device="meta"))
    last = max(index for index, layer in enumerate(called) if isinstance(layer, nn.Linear))
    before = [layer for layer in called[:last] if not isinstance(layer, _KEEP_SIGNS)]
    return bool(before) and isinstance(before[-1], _NEVER_NEGATIVE)
