"""Recovering labels from local updates (RLU; Chen and Vikalo 2024, arXiv 2405.00955): FedAvg and single gradients."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from invbench.labels.counts import Read, labels_of, whole
from invbench.labels.last_layer import last_layer
from invbench.labels.own_pictures import answers, by_class, missing_classes
from invbench.observation import Public, UpdateObservation
from invbench.updates.simulation import protocol_of

_SUM = 1e3
"""Weight of the equation that counts add up to B, which is exact, beside those that are expectations."""


def why_not(public: Public) -> str | None:
    """Why labels cannot be read so, None where they can."""
    last = public.last_linear()
    if last is None:
        return f"rlu needs a last fully connected layer; {public.model} does not end in one"
    if last[1].bias is None:
        return f"rlu reads the last bias's update; {public.model} has none"
    return missing_classes(public, "rlu")


def read(group: Sequence[UpdateObservation]) -> list[Read]:
    """Counts n >= 0 that add up to B from (M - I) n = B G, by least squares.

    G is the last bias's mean gradient over the client's steps. Column j of M is the mean softmax of class j's pictures,
    off the diagonal the paper's erroneous confidence, as the attacker's own pictures have it: at the global weights,
    and for several steps also at those that the client ended with, which its update tells; between them M is linear in
    the step. The paper simulates the steps between instead; of one step this is its method.
    """
    first = group[0]
    begin, several = _confidences(first, first.model), protocol_of(first.public).local_steps(first.public.batch_size)
    return [_of_one(seen, begin, several) for seen in group]


def _of_one(seen: UpdateObservation, begin: Tensor, steps: int) -> Read:
    slopes = last_layer(seen).double().bias
    assert slopes is not None
    confidence = begin
    if steps > 1:
        end = _confidences(seen, _moved(seen))
        confidence = begin + (end - begin) * ((steps - 1) / (2 * steps))  # the mean over steps 0 .. steps - 1
    pictures = seen.public.pictures
    return Read(labels_of(whole(solved(confidence, slopes, pictures), pictures)))


def solved(confidence: Tensor, slopes: Tensor, pictures: int) -> Tensor:
    """n `(K,)` from M `(K, K)`, column j of class j, and the bias's mean gradient `(K,)`.

    NaN where these are not finite: the weights that the client ended with may give no numbers.
    """
    from scipy.optimize import nnls  # type: ignore[import-untyped]  # late: it takes a while to load

    classes = len(slopes)
    left = torch.cat([confidence - torch.eye(classes, dtype=slopes.dtype), torch.full((1, classes), _SUM).double()])
    right = pictures * torch.cat([slopes, torch.tensor([_SUM]).double()])
    if not bool(left.isfinite().all() and right.isfinite().all()):
        return torch.full_like(slopes, torch.nan)
    return torch.from_numpy(nnls(left.numpy(), right.numpy())[0])


def _confidences(seen: UpdateObservation, network: torch.nn.Module) -> Tensor:
    """M `(K, K)`: column j the mean softmax of the attacker's own pictures of class j."""
    own = seen.public.reference
    assert own is not None
    found = answers(network, own.images, last_layer(seen).name)
    return by_class(found.softmax, own, seen.public.classes).T


def _moved(seen: UpdateObservation) -> torch.nn.Module:
    """The network at the weights with which the client, or the mean of clients, ended."""
    network = copy.deepcopy(seen.model)
    with torch.no_grad():
        for weight, change in zip(network.parameters(), seen.update, strict=True):
            weight.add_(change.to(weight.device))
    return network
