"""R-GAP as published: one plain least-squares problem a layer, from the logit down (Zhu and Blaschko 2021, 2010.07733).

Of a convolution's input x with its padding, its gradient, its output z and the padding tell (equations 5 to 8)

    [K; W; P] x = [dL/dW; z; 0]

with the error signal unfolded in K, the kernel in W, and a row of P for each place of padding. Of a fully connected
layer the gradient alone is read, as in the authors' code. No equation is weighted, and there is no prior: `descent.py`
is what this became here.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from invbench.models._layers import OneLogit
from invbench.peeling.chain import Link, NotAChain, has_weights, prefix, read_chain
from invbench.peeling.logit import error_signal
from invbench.peeling.plain import solve
from invbench.peeling.weighted import (
    apply,
    forward_normal,
    geometry,
    kernel,
    rows_of,
    transposed,
    unfolded_error,
)


@dataclass(frozen=True)
class LayerRanks:
    """The rank analysis of one layer (section 3.4): how many equations of each kind its input obeys.

    `unknowns`: with padding. `gradient`: independent equations of dL/dW; `weights`: of the output, at most; `padding`.
    `index`: their sum less the unknowns; below zero the layer does not determine its input, whatever the picture.
    `rank`, `condition`: of all equations together. `residual`: what their solution leaves, relative.
    """

    layer: str
    unknowns: int
    gradient: int
    weights: int
    padding: int
    index: int
    rank: int
    condition: float
    residual: float


@dataclass(frozen=True, eq=False)
class Reached:
    """`value` and dL/dvalue, `slope`, at a place of the chain, for a picture of this `label`; the layers above it."""

    label: int
    value: Tensor
    slope: Tensor
    layers: tuple[LayerRanks, ...] = ()


def read_body(network: nn.Module, image_shape: tuple[int, ...]) -> tuple[Link, ...]:
    """The layers from the picture up to the logit; NotAChain, with the reason, where R-GAP does not read them."""
    if not isinstance(network, nn.Sequential) or not len(network) or not isinstance(network[-1], OneLogit):
        raise NotAChain("needs one logit under the logistic loss: model `cnn6`")
    chain = read_chain(network[:-1], image_shape)
    for link in chain:
        if not isinstance(link.layer, nn.Conv2d | nn.Linear | nn.LeakyReLU | nn.Flatten):
            raise NotAChain(f"inverts LeakyReLUs alone, no {type(link.layer).__name__} (layer {link.name})")
        if has_weights(link) and link.layer.bias is not None:
            raise NotAChain(f"needs layers without biases (layer {link.name})")
    if sum(has_weights(link) for link in chain) < 2:
        raise NotAChain("needs a layer below the last one: that tells the label")
    return chain


def descend(chain: Sequence[Link], update: Mapping[str, Tensor], u: float, labels: Sequence[int]) -> Reached:
    """The picture behind a gradient of the logit with y m = u, from the last layer down; `update` in float64, by name.

    Of several `labels` that one goes on whose equations are missed least at the first layer below the last: another
    label turns the last layer's input round, which a LeakyReLU does not bear.
    """
    last = chain[-1]
    gradient = update[f"{prefix(last)}weight"]
    several = [_below_last(last, gradient, u, label) for label in labels]
    for link in reversed(chain[:-1]):
        several = [_below(link, above, update) for above in several]
        if has_weights(link):
            several = [min(several, key=lambda reached: reached.layers[-1].residual)]
    return several[0]


def _below_last(link: Link, gradient: Tensor, u: float, label: int) -> Reached:
    signal = torch.tensor([error_signal(u, label)], dtype=torch.float64)
    return _below_linear(link, Reached(label, signal, signal), gradient)


def _below(link: Link, above: Reached, update: Mapping[str, Tensor]) -> Reached:
    above = replace(above, value=above.value.reshape(link.after), slope=above.slope.reshape(link.after))
    if isinstance(link.layer, nn.LeakyReLU):
        side = torch.ones_like(above.value).where(above.value > 0, link.layer.negative_slope)
        return replace(above, value=above.value / side, slope=above.slope * side)
    if isinstance(link.layer, nn.Linear):
        return _below_linear(link, above, update[f"{prefix(link)}weight"])
    if isinstance(link.layer, nn.Conv2d):
        return _below_convolution(link, above, update[f"{prefix(link)}weight"])
    return replace(above, value=above.value.reshape(link.before), slope=above.slope.reshape(link.before))


def _below_linear(link: Link, above: Reached, gradient: Tensor) -> Reached:
    """x is the mean of (dL/dW)_i / (dL/dz)_i over all units i whose error signal is not zero."""
    told = above.slope != 0
    rows = gradient[told] / above.slope[told, None]
    value = rows.mean(dim=0) if len(rows) else torch.zeros_like(gradient[0])
    missed = _relative(gradient - above.slope[:, None] * value, gradient)
    size, rank = len(value), len(value) if len(rows) else 0
    report = LayerRanks(link.name, size, rank, 0, 0, rank - size, rank, 1.0, missed)
    below = transposed(link, above.slope[None])[0]
    return replace(above, value=value, slope=below, layers=(*above.layers, report))


def _below_convolution(link: Link, above: Reached, gradient: Tensor) -> Reached:
    bare, padding = _padded(link)
    shape, weight = geometry(bare), kernel(bare.layer)
    outputs, positions = len(weight), len(shape.patch)
    rows, seen = unfolded_error(shape, above.slope.reshape(outputs, positions)), rows_of(gradient)

    def missed(x: Tensor) -> tuple[Tensor, Tensor]:
        output = apply(bare.layer, x.reshape(1, *bare.before))[0]
        return seen - x.reshape(shape.channels, -1) @ rows.T, above.value - output

    def descent(x: Tensor) -> Tensor:
        of_gradient, of_output = missed(x)
        return (of_gradient @ rows).flatten() + transposed(bare, of_output[None]).flatten() - padding * x

    normal = forward_normal(shape, weight, torch.ones(outputs, positions, dtype=weight.dtype))
    normal.diagonal().add_(padding)
    blocks, of_channel = normal.reshape(shape.channels, shape.pixels, shape.channels, shape.pixels), rows.T @ rows
    for channel in range(shape.channels):
        blocks[channel, :, channel] += of_channel
    solved = solve(normal, descent)
    told = shape.channels * int(torch.linalg.matrix_rank(rows))
    padded = int(padding.sum())
    index = told + outputs * positions + padded - shape.size
    residual = _relative(torch.cat([one.flatten() for one in missed(solved.value)]), seen, above.value)
    report = LayerRanks(
        link.name, shape.size, told, outputs * positions, padded, index, solved.rank, solved.condition, residual
    )
    inside = padding == 0
    value, slope = solved.value[inside], transposed(bare, above.slope[None]).flatten()[inside]
    return replace(
        above, value=value.reshape(link.before), slope=slope.reshape(link.before), layers=(*above.layers, report)
    )


def padded_size(link: Link) -> int:
    """How many unknowns a layer's equations have, padding among them."""
    return _padded(link)[1].numel() if isinstance(link.layer, nn.Conv2d) else math.prod(link.before)


def _padded(link: Link) -> tuple[Link, Tensor]:
    """The same convolution without padding, of an input that has it, and where its entries `(n,)` are padding: 1."""
    layer = copy.copy(link.layer)
    assert isinstance(layer, nn.Conv2d)
    assert not isinstance(layer.padding, str)
    vertical, horizontal = layer.padding
    layer.padding = (0, 0)
    around = (horizontal, horizontal, vertical, vertical)
    padding = functional.pad(torch.zeros(link.before, dtype=torch.float64), around, value=1.0)
    return replace(link, layer=layer, before=tuple(padding.shape)), padding.flatten()


def _relative(missed: Tensor, *seen: Tensor) -> float:
    size = torch.cat([one.flatten() for one in seen]).norm()
    return float(missed.norm() / size) if size > 0 else 0.0
