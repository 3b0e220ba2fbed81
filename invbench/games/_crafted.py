"""The networks that a malicious server gives to its clients."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from invbench.games import Craft
from invbench.observation import Public, Tensors


def crafted(public: Public, network: nn.Module, clients: int, craft: Craft) -> Sequence[nn.Module]:
    """What each of so many clients is given in place of the global network.

    ValueError where weights or buffers have another name, shape or type: clients know the architecture.
    """
    return [_given(public, network, client, craft) for client in range(clients)]


def _given(public: Public, network: nn.Module, client: int, craft: Craft) -> nn.Module:
    own = copy.deepcopy(network)
    tensors = own.state_dict()
    made = craft(public, {name: tensor.detach().clone() for name, tensor in tensors.items()}, client)
    if (wrong := _other(tensors, made)) is not None:
        raise ValueError(f"the model crafted for client {client} is not of the victim's architecture: {wrong}")
    own.load_state_dict(dict(made))
    return own


def _other(tensors: Tensors, made: Tensors) -> str | None:
    """Which tensor is not there, or not as it was."""
    if set(made) != set(tensors):
        return f"it has {sorted(set(made) ^ set(tensors))[0]!r} or lacks it"
    for name, tensor in tensors.items():
        new = made[name]
        if not isinstance(new, Tensor) or (new.shape, new.dtype) != (tensor.shape, tensor.dtype):
            return f"{name} must stay {tensor.dtype} of shape {tuple(tensor.shape)}"
    return None
