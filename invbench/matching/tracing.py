"""A batched function as a graph of tensor operations, without those that nobody reads.

PyTorch's double backward of a convolution always computes the gradient of the weights, wanted or not, and
`torch.func` works out every call anew. A traced graph holds the same operations on the same shapes in the same
order, so its numbers are the same bit for bit; it lacks those whose result is not used, and it computes what does
not depend on the variables (norms of the update seen, a BatchNorm's scale) once instead of at every step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, fx
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx

Batched = Callable[..., tuple[Tensor, ...]]
"""`(variables, *given) -> tensors`."""


@dataclass(frozen=True, eq=False)
class Traced:
    """`prelude(*given)` is computed once, `step(variables, *prelude(*given))` at every evaluation."""

    prelude: fx.GraphModule
    step: fx.GraphModule

    def bind(self, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        with torch.no_grad():
            handed: tuple[Tensor, ...] = self.prelude(*given)
        return handed


def trace(batched: Batched, variables: Tensor, given: tuple[Tensor, ...]) -> Traced:
    """The graph for tensors of these shapes. It fixes the number of lanes, and whatever the function branches on."""
    whole = make_fx(functionalize(batched), tracing_mode="real")(variables, *given)
    whole.graph.eliminate_dead_code()
    return _split(whole)


def _split(whole: fx.GraphModule) -> Traced:
    """Apart: what depends on the first input and what does not."""
    nodes = list(whole.graph.nodes)
    first, *others = [node for node in nodes if node.op == "placeholder"]
    moving = {first}
    for node in nodes:
        if node.op == "output" or not moving.isdisjoint(node.all_input_nodes):
            moving.add(node)
    fixed = [node for node in nodes if node not in moving]
    handed = [node for node in fixed if not moving.isdisjoint(node.users)]

    prelude = fx.Graph()
    place = {node: prelude.placeholder(node.name) for node in others}
    for node in fixed:
        if node not in place:
            place[node] = prelude.node_copy(node, place.__getitem__)
    prelude.output(tuple(place[node] for node in handed))

    step = fx.Graph()
    place = {node: step.placeholder(node.name) for node in (first, *handed)}
    for node in nodes:
        if node in moving and node is not first:
            place[node] = step.node_copy(node, place.__getitem__)
    return Traced(fx.GraphModule(whole, prelude), fx.GraphModule(whole, step))
