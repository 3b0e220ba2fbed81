"""How much an update can tell: fewer numbers than its pictures have cannot determine them."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


def underdetermined(network: nn.Module, image_shape: Sequence[int], batch_size: int) -> str | None:
    """A sentence where the pictures have more numbers than their gradient tells; None where it may suffice.

    `network` on the meta device, `image_shape` `(C, H, W)`.
    """
    told, unknown = told_at_most(network, image_shape, batch_size), batch_size * math.prod(image_shape)
    if told >= unknown:
        return None
    return f"an update tells at most {told:,} numbers and its pictures have {unknown:,}: it does not determine them"


def told_at_most(network: nn.Module, image_shape: Sequence[int], batch_size: int) -> int:
    """An upper bound of the independent numbers in the gradient of a batch.

    The gradient of a linear layer that sees one vector a picture is a sum of `batch_size` outer products, its bias's
    one more column of them: a matrix m x n of rank B has B (m + n - B) free entries. Others count whole, and so does
    every layer of a network that cannot be followed without values.
    """
    inside, vectors = copy.deepcopy(network).eval(), Counter[nn.Linear]()

    def seen(layer: nn.Module, given: tuple[Any, ...], _: Any) -> None:
        if type(layer) is nn.Linear:
            vectors[layer] += math.prod(given[0].shape[:-1])  # one a picture, or one a place

    for layer in inside.modules():
        layer.register_forward_hook(seen)
    total = sum(parameter.numel() for parameter in inside.parameters())
    try:
        with torch.no_grad():
            inside(torch.zeros(batch_size, *image_shape, device="meta"))
    except Exception:  # of somebody else's network, which has run with values; a bound need not be the least
        return total
    for linear, count in vectors.items():
        outputs, inputs = linear.out_features, linear.in_features + (linear.bias is not None)
        rank = min(count, outputs, inputs)
        total -= (outputs - rank) * (inputs - rank)
    return total
