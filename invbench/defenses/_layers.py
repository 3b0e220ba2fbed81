"""Which layer of a network a defence acts on."""

from __future__ import annotations

from torch import nn

from invbench.observation import has_own_weight


def last_linear(network: nn.Module) -> tuple[str, nn.Linear] | None:
    """Name and layer of the last layer with weights where it is fully connected: a classifier's head."""
    layers = [(name, layer) for name, layer in network.named_modules() if has_own_weight(layer)]
    name, layer = layers[-1] if layers else ("", None)
    return (name, layer) if isinstance(layer, nn.Linear) else None


def weight_position(network: nn.Module, layer: str) -> int:
    """Which of the network's parameters, in their order, is the weight of the layer of this name."""
    names = [name for name, _ in network.named_parameters()]
    return names.index(f"{layer}.weight" if layer else "weight")
