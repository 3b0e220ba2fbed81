"""A victim as a chain of layers, each fed by the one before it and by nothing else."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from invbench.peeling.elementwise import INVERTIBLE

IGNORED = (nn.Identity, nn.Dropout, nn.Dropout2d)  # the identity in eval mode

_THRESHOLD = 16.0  # of a Softplus, above which it is the identity: exp(-16) is the rounding of a float32


class NotAChain(Exception):
    """The network cannot be peeled; the text says where and why."""


@dataclass(frozen=True, eq=False)
class Link:
    """One layer: its name in the network (the prefix of its parameters), shapes before and after it, without batch."""

    name: str
    layer: nn.Module
    before: tuple[int, ...]
    after: tuple[int, ...]


def read_chain(network: nn.Module, image_shape: tuple[int, ...]) -> tuple[Link, ...]:
    """The layers from the picture up, of a network on the meta device; NotAChain, with the reason, if it is none."""
    links: list[Link] = []
    shape = image_shape
    for name, layer in _layers("", network):
        if isinstance(layer, IGNORED):
            continue
        if (reason := _why_not(layer) or _why_not_here(layer, shape, links)) is not None:
            raise NotAChain(f"{reason} (layer {name or 'the network itself'})")
        after = _after(layer, shape)
        links.append(Link(name, layer, shape, after))
        shape = after
    _check_order(links)
    return tuple(links)


def with_weights(chain: tuple[Link, ...], model: nn.Module) -> tuple[Link, ...]:
    """The same chain with the layers of `model`, copied to the CPU in float64."""
    copied = copy.deepcopy(model).to("cpu", torch.float64)
    copied.requires_grad_()  # clients share the gradients of frozen layers too
    return tuple(replace(link, layer=copied.get_submodule(link.name)) for link in chain)


def _layers(prefix: str, layer: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    if type(layer).forward is nn.Sequential.forward:
        for name, child in layer._modules.items():  # named_children tells a layer that is used twice once
            assert child is not None
            yield from _layers(f"{prefix}.{name}" if prefix else name, child)
    else:
        yield prefix, layer


def _why_not(layer: nn.Module) -> str | None:
    if type(layer) is nn.Conv2d:
        if layer.groups != 1:
            return f"a convolution in {layer.groups} groups is not peeled yet"
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            return "a convolution is peeled with zero padding given in numbers only"
        return None
    if type(layer) is nn.AvgPool2d:
        return "average pooling with ceil_mode is not peeled yet" if layer.ceil_mode else None
    if type(layer) in INVERTIBLE:
        return _why_not_inverted(layer)
    if type(layer) in (nn.AdaptiveAvgPool2d, nn.Linear, nn.Flatten, nn.BatchNorm2d, nn.BatchNorm1d):
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d) and layer.running_mean is None:
            return "BatchNorm without running statistics mixes a batch"
        return None
    if isinstance(layer, nn.MaxPool2d):
        return "max pooling hides which entry was the largest"
    if any(True for _ in layer.children()):
        return f"a {type(layer).__name__} is no chain of layers"
    return f"a {type(layer).__name__} cannot be inverted"


def _why_not_inverted(layer: nn.Module) -> str | None:
    """An activation is inverted where it rises."""
    if isinstance(layer, nn.LeakyReLU) and layer.negative_slope <= 0:
        return f"a LeakyReLU of slope {layer.negative_slope:g} does not rise everywhere"
    if isinstance(layer, nn.ELU) and layer.alpha <= 0:
        return f"an ELU of alpha {layer.alpha:g} does not rise everywhere"
    if isinstance(layer, nn.Softplus) and layer.threshold < _THRESHOLD:
        return f"a Softplus of threshold {layer.threshold:g} falls there"
    return None


def _why_not_here(layer: nn.Module, shape: tuple[int, ...], links: list[Link]) -> str | None:
    if isinstance(layer, nn.Linear) and len(shape) != 1:
        return f"a linear layer on {shape} sees one axis only, and is not peeled yet"
    if any(True for _ in layer.parameters()) and any(link.layer is layer for link in links):
        return "a layer that is used twice has one gradient for both"
    return None


def _after(layer: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    try:
        with torch.no_grad():
            return tuple(layer(torch.zeros(1, *shape, device="meta")).shape[1:])
    except (RuntimeError, ValueError) as error:
        raise NotAChain(f"a {type(layer).__name__} does not take {shape}: {error}") from error


def _check_order(links: list[Link]) -> None:
    weighted = [link for link in links if has_weights(link)]
    if not weighted or links[-1] is not weighted[-1] or not isinstance(links[-1].layer, nn.Linear):
        raise NotAChain("needs a linear layer as its last")


def has_weights(link: Link) -> bool:
    """Whether it is a layer whose input its gradient and its output tell by linear equations."""
    return isinstance(link.layer, nn.Linear | nn.Conv2d)


def is_kinked(chain: Sequence[Link]) -> bool:
    """Whether an activation of it has a kink: steps that trust a slope stumble there."""
    return any(isinstance(link.layer, nn.ReLU | nn.LeakyReLU) for link in chain)


def prefix(link: Link) -> str:
    """What the names of the link's parameters begin with."""
    return f"{link.name}." if link.name else ""
