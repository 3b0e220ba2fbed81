"""The networks that a malicious server gives to its clients: weights of its own, perhaps a module in front."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from invbench.cell import Cell
from invbench.core.attack import UpdateAttack
from invbench.core.errors import in_words
from invbench.games import Craft
from invbench.observation import Public, Tensors


def crafted(public: Public, network: nn.Module, clients: int, craft: Craft) -> Sequence[nn.Module]:
    """What each of so many clients is given in place of the global network.

    ValueError where weights or buffers have another name, shape or type: clients know the architecture.
    """
    return [_given(public, network, client, craft) for client in range(clients)]


def with_inserted(cell: Cell, public: Public, network: nn.Module) -> nn.Module:
    """The network behind the module that the cell's malicious server puts in front; itself where it adds none.

    `public` is of the honest network, whose device the module gets. ValueError where the module is none of pictures.
    """
    if not cell.attack.part.facts["adds_module"]:
        return network
    where = next((one.device for one in network.parameters()), torch.device("cpu"))
    with torch.random.fork_rng(devices=[]), torch.device("meta" if where.type == "meta" else "cpu"):
        torch.default_generator.manual_seed(0)  # the weights are crafted later: until then the same for everybody
        module = cell.attack.build(UpdateAttack).inserted(public)
        if module is not None and (wrong := _no_front(module.eval(), public)) is not None:
            raise ValueError(f"the module that {cell.attack.name} adds {wrong}")
    return network if module is None else nn.Sequential(OrderedDict(inserted=module.to(where), victim=network)).eval()


def _no_front(module: nn.Module, public: Public) -> str | None:
    """What is wrong with a module that has to make pictures of pictures."""
    shape = (1, *public.image_shape)
    try:
        with torch.no_grad():
            made = module(torch.zeros(shape))
    except Exception as error:
        return f"takes no picture of {public.image_shape}: {in_words(error)}"
    same = isinstance(made, Tensor) and tuple(made.shape) == shape
    return None if same else f"must make pictures of {public.image_shape} of the same shape"


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
