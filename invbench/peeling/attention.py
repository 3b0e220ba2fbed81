"""The picture behind a first attention that sees patches and positions as they are (Lu et al. 2022, arXiv 2112.14087).

With z `(T, c)` the attention's input, W `(3 c, c)` the matrix of queries, keys and values, and S `(T, 3 c)` the error
signal of their outputs, dL/dW = S' z and dL/dz = S W, whatever heads and softmax make of them. So

    (dL/dz)' z = W' dL/dW

(their closed form, whose right side is a sum over queries, keys and values), and dL/dz is shared: z is the patches'
tokens plus the position embedding E, nothing else reads E, and so of one picture dL/dE = dL/dz. A layer norm between
them, or a skip around the attention, adds to dL/dE what is not known. Both sides are of one gradient: a factor that a
client puts on its update changes nothing.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from invbench.models._vision_transformer import Block, VisionTransformer
from invbench.observation import Update


@dataclass(frozen=True, eq=False)
class Solution:
    """The shortest X of those with the least |A X - B|, the rank of A by which it was found, and A's condition: its
    largest singular value over the least, None where that is 0."""

    value: Tensor
    rank: int
    condition: float | None


@dataclass(frozen=True, eq=False)
class Read:
    """`picture` `(C, H, W)`, normalised, of `tokens` of which `attention` tells so many as its rank, and of patches of
    `numbers`, of which a token tells `told`."""

    picture: Tensor
    attention: Solution
    tokens: int
    numbers: int
    told: int


def why_not(network: nn.Module) -> str | None:
    """Why the first attention's input cannot be solved for, None where it can."""
    if not isinstance(network, VisionTransformer):
        return "needs a vision transformer whose layers it knows: model `vit`"
    first = network.blocks[0]
    assert isinstance(first, Block)
    if not isinstance(first.norm1, nn.Identity):
        return "needs a first attention that sees patches and positions as they are; a layer norm stands between"
    return "needs a first attention with no skip around it" if first.skips else None


def read_picture(model: nn.Module, update: Update, image_shape: tuple[int, int, int], error: float) -> Read | None:
    """The picture behind an update of a network that `why_not` has no word against, in float64; None where the position
    embedding's gradient is zero, and tells nothing. `error`: as of `attention_input`."""
    network = copy.deepcopy(model).to("cpu", torch.float64).requires_grad_(False)
    assert isinstance(network, VisionTransformer)
    first = network.blocks[0]
    assert isinstance(first, Block)
    given = {name: tensor.cpu().double() for (name, _), tensor in zip(network.named_parameters(), update, strict=True)}
    of_input, of_weight = given["positions"], given["blocks.0.attention.qkv.weight"]
    if not bool(of_input.any()):
        return None
    solved = attention_input(first.attention.qkv.weight, of_weight, of_input, error)
    patches = len(network.positions) - (network.token is not None)
    picture = embedded_patches(network.patches, (solved.value - network.positions)[-patches:], image_shape)
    rows = network.patches.weight.flatten(1)
    return Read(picture.value, solved, len(of_input), rows.shape[1], picture.rank)


def attention_input(weight: Tensor, weight_gradient: Tensor, input_gradient: Tensor, error: float) -> Solution:
    """z `(T, c)` from W and dL/dW, each `(3 c, c)`, and dL/dz `(T, c)`; the only one where dL/dz has rank T.

    `error`: relative error of the gradients' entries. Such errors in a matrix of n rows have singular values of about
    sqrt(n) times that, beside its largest: what is smaller counts as zero.
    """
    return _solve(input_gradient.mT, weight.mT @ weight_gradient, error)


def embedded_patches(embedding: nn.Conv2d, tokens: Tensor, image_shape: tuple[int, int, int]) -> Solution:
    """The picture `(C, H, W)` of which a convolution from patch to patch makes `tokens` `(patches, c)`; the only one
    where its weights have as high a rank as a patch has numbers."""
    assert embedding.bias is not None
    rows, side = embedding.weight.flatten(1), embedding.kernel_size[0]
    solved = _solve(rows, (tokens - embedding.bias).mT, torch.finfo(rows.dtype).eps)
    folded = functional.fold(solved.value[None], image_shape[1:], kernel_size=side, stride=side)
    return Solution(folded[0], solved.rank, solved.condition)


def _solve(matrix: Tensor, target: Tensor, error: float) -> Solution:
    found = torch.linalg.lstsq(matrix, target, rcond=error * max(matrix.shape) ** 0.5, driver="gelsd")
    largest, least = float(found.singular_values.max()), float(found.singular_values.min())
    return Solution(found.solution, int(found.rank), largest / least if least > 0 else None)
