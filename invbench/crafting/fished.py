"""A classifier through which one class alone sends gradients, and the update of that class alone (Wen et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SURE = 1000.0
"""Bias of all other classes: the fished one's probability is exactly 0, whatever its score, and theirs are equal."""
SLOPE = 0.5
"""The fished class's weights: by so much of its features' gradient each of its pictures counts."""


def fishing_classifier(weight: Tensor, bias: Tensor, label: int) -> tuple[Tensor, Tensor]:
    """Weights `(K, F)` and biases `(K,)` of a last layer that passes gradients to pictures of this class alone.

    The gradient of cross-entropy by a feature is W' (p - y). All rows but the class's are 0, and p is 0 there, so
    that it is -`SLOPE` for a picture of that class and exactly 0 for any other.
    """
    rows, offsets = torch.zeros_like(weight), torch.full_like(bias, SURE)
    rows[label], offsets[label] = SLOPE, -SURE
    return rows, offsets


def count_of(bias: Tensor, label: int, pictures: int) -> int:
    """How many of the pictures are of the fished class: p - y of it is -1 for each of those and 0 for all others."""
    return round(-float(bias[label]) * pictures)


def of_class_alone(
    gradient: Sequence[Tensor], weight: int, bias: int, label: int, count: int, pictures: int
) -> tuple[Tensor, ...]:
    """The gradient that the `count` pictures of the fished class have alone, from the mean over all `pictures`.

    `weight`, `bias`: the last layer's places. Below it the class's own sum is all there is. Of that layer the class's
    row holds -mean of its features, and every other row has to be that mean / (K - 1), for p is 1 / (K - 1) there;
    what stands there instead is of the other pictures, too.
    """
    share = pictures / count
    found = [tensor * share for tensor in gradient]
    features, others = -found[weight][label], len(found[bias]) - 1
    found[weight] = (features / others).repeat(others + 1, 1)
    found[weight][label] = -features
    found[bias] = torch.full_like(found[bias], 1 / others)
    found[bias][label] = -1.0
    return tuple(found)
