"""Instance-wise batch label restoration via gradients (Ma et al. 2023, ICLR, OpenReview FIrQfNSOoTr)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from invbench.labels.counts import Read, labels_of, whole
from invbench.labels.last_layer import LastLayer, last_layer
from invbench.observation import Public, UpdateObservation

_NO_DIVISOR = 1e-6
"""Of the largest entry of dL/db: what is smaller is rounding, or was not sent, and divides nothing."""


def why_not(public: Public) -> str | None:
    """Why labels cannot be read so, None where they can."""
    last = public.last_linear()
    if last is None:
        return f"ilrg needs a last fully connected layer; {public.model} does not end in one"
    return None if last[1].bias is not None else f"ilrg divides by the last bias's gradient; {public.model} has none"


def read(group: Sequence[UpdateObservation]) -> list[Read]:
    """Counts n from sum_j n_j P_ji - n_i = B dL/db_i, i = 1 .. K, and sum_j n_j = B, by least squares.

    P_j = softmax(W e_j + b) is what the last layer makes of e_j = (dL/dW)_j / (dL/db)_j, the mean features of class j's
    pictures where they outweigh the others in row j. That is so of many classes or uneven batches; where n_j / B is
    near the mean probability of j the divisor is near 0. A class whose divisor is lost in rounding is given the mean
    of the others' P, which the paper does not say. Features may have any sign.
    """
    last = group[0].model.get_submodule(last_layer(group[0]).name)
    assert isinstance(last, nn.Linear)
    weight, bias = (tensor.detach().double().cpu() for tensor in (last.weight, last.bias))
    return [_of_one(last_layer(seen).double(), weight, bias, seen.public.pictures) for seen in group]


def _of_one(gradient: LastLayer, weight: Tensor, bias: Tensor, pictures: int) -> Read:
    assert gradient.bias is not None
    counts = whole(solved(probabilities(gradient, weight, bias), gradient.bias, pictures), pictures)
    return Read(labels_of(counts))


def probabilities(gradient: LastLayer, weight: Tensor, bias: Tensor) -> Tensor:
    """P `(K, K)`: row j the softmax of the last layer, `weight` `(K, F)` and `bias` `(K,)`, at class j's features."""
    divisor = gradient.bias
    assert divisor is not None
    sound = divisor.abs() > _NO_DIVISOR * divisor.abs().max()
    embeddings = gradient.weight / divisor.where(sound, torch.ones_like(divisor))[:, None]
    found = (embeddings @ weight.T + bias).softmax(dim=1)
    sound &= found.isfinite().all(dim=1)
    mean = found[sound].mean(dim=0) if bool(sound.any()) else bias.softmax(dim=0)
    return found.where(sound[:, None], mean)


def solved(probability: Tensor, slopes: Tensor, pictures: int) -> Tensor:
    """The least-squares n `(K,)`, of smallest norm where several are: `probability` `(K, K)`, `slopes` `(K,)`."""
    classes = len(slopes)
    left = torch.cat(
        [torch.ones(1, classes, dtype=slopes.dtype), probability.T - torch.eye(classes, dtype=slopes.dtype)]
    )
    right = pictures * torch.cat([torch.ones(1, dtype=slopes.dtype), slopes])
    found: Tensor = torch.linalg.pinv(left) @ right
    return found
