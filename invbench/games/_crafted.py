"""The networks that a malicious server gives to its clients: weights of its own, perhaps a module in front."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from invbench.cell import Cell
from invbench.core.attack import UpdateAttack
from invbench.core.errors import in_words
from invbench.games import Craft
from invbench.observation import Public, Tensors


def crafted(public: Public, network: nn.Module, clients: int, craft: Craft) -> Sequence[nn.Module]:
    """What each of so many clients is given in place of the global network.

    ValueError where weights or buffers have another name, shape or type, for clients know the architecture, and where
    they are no numbers: no client could compute.
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
        if module is not None and (wrong := _no_front(module, public)) is not None:
            raise ValueError(f"the module that {cell.attack.name} adds {wrong}")
    return network if module is None else nn.Sequential(OrderedDict(inserted=module.to(where), victim=network)).eval()


def _no_front(module: object, public: Public) -> str | None:
    """What is wrong with what has to be a module that makes pictures of pictures."""
    if not isinstance(module, nn.Module):
        return f"must be a torch.nn.Module or None, not {type(module).__name__}"
    given = torch.zeros(1, *public.image_shape)
    try:
        with torch.no_grad():
            made = module.eval()(given)
    except Exception as error:
        return f"takes no picture of {public.image_shape}: {in_words(error)}"
    same = isinstance(made, Tensor) and (made.shape, made.dtype) == (given.shape, given.dtype)
    return None if same else f"must make pictures of {public.image_shape} of the same shape and type, {given.dtype}"


def _given(public: Public, network: nn.Module, client: int, craft: Craft) -> nn.Module:
    own = copy.deepcopy(network)
    tensors = own.state_dict()
    made = craft(public, {name: tensor.detach().clone() for name, tensor in tensors.items()}, client)
    if (wrong := _other(tensors, made)) is not None:
        raise ValueError(f"the model crafted for client {client} is not of the victim's architecture: {wrong}")
    if (broken := next((name for name, there in tensors.items() if _breaks(there, made[name])), None)) is not None:
        raise ValueError(f"the model crafted for client {client} holds NaN or infinity in {broken}")
    own.load_state_dict(dict(made))
    return own


def _other(tensors: Tensors, made: object) -> str | None:
    """Which tensor is not there, or not as it was."""
    if not isinstance(made, Mapping):
        return f"craft() must answer tensors by name, not {type(made).__name__}"
    if lost := [name for name in tensors if name not in made]:
        return f"it lacks {lost[0]!r}"
    if more := [name for name in made if name not in tensors]:
        return f"it has {more[0]!r}, which the victim has not"
    for name, tensor in tensors.items():
        new = made[name]
        same = isinstance(new, Tensor) and (new.shape, new.dtype) == (tensor.shape, tensor.dtype)
        if not same or new.layout != tensor.layout or new.is_meta:
            return f"{name} must stay a dense tensor of {tensor.dtype} and shape {tuple(tensor.shape)}, with values"
    return None


def _breaks(there: Tensor, new: Tensor) -> bool:
    """Whether the server put in what is no number, where there were numbers."""
    return not bool(new.isfinite().all()) and bool(there.isfinite().all())
