"""Gradients of single pictures, as rows, beside the update of a batch as such a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import vmap

from invbench.defenses import Context
from invbench.observation import DIVERGED, Failed, Labelled, Public, Update, UpdateObservation
from invbench.updates.simulation import as_gradient, gradient_of, protocol_of, stack_of

Layers = Literal["all", "last"]
"""All of the network's parameters, or those of the classifier's last layer."""

_AT_A_TIME, _NUMBERS = 64, 1 << 24  # pictures of one program, and numbers of their gradients (64 MiB)


def no_single_gradients(public: Public, layers: Layers) -> str | None:
    """Why a picture has no gradient of its own in such an update, or None."""
    if protocol_of(public).batch_norm == "train":
        return "reads gradients of single pictures, and clients' BatchNorm mixes their batch: `batch_norm: eval`"
    if stack_of(public).told(public.network):
        return "reads gradients of single pictures, and what clients draw inside of the network is not known"
    if layers == "last" and public.last_linear() is None:
        return f"layers: last needs a last fully connected layer that gives the class scores; {public.model} has none"
    return None


def lengths_of(public: Public, layers: Layers) -> list[int]:
    """How many numbers of a row belong to each tensor."""
    named = list(public.network.named_parameters())
    chosen = _chosen(public, [name for name, _ in named], layers)
    return [p.numel() for (_, p), there in zip(named, chosen, strict=True) if there]


def sum_of_batch(seen: UpdateObservation, layers: Layers) -> Tensor:
    """The sum `(n,)`, float64, of the gradients of the pictures behind an update, if it is the mean of theirs.

    `Failed` where it is not finite.
    """
    row = row_of(as_gradient(seen), seen, layers).double() * seen.public.pictures
    if not bool(row.isfinite().all()):
        raise Failed(DIVERGED)
    return row


def row_of(update: Update, seen: UpdateObservation, layers: Layers) -> Tensor:
    """One tensor a parameter of the network, as a row `(n,)`."""
    chosen = _chosen(seen.public, [name for name, _ in seen.model.named_parameters()], layers)
    return torch.cat([tensor.reshape(-1) for tensor, there in zip(update, chosen, strict=True) if there])


@torch.no_grad()
def rows_of(seen: UpdateObservation, pictures: Labelled, layers: Layers) -> Iterator[Tensor]:
    """The gradient of each picture's own cross-entropy at the global weights, `(some, n)` at a time, float32.

    Behind the declared defences that act on single examples.
    """
    names = [name for name, _ in seen.model.named_parameters()]
    chosen, stack = _chosen(seen.public, names, layers), stack_of(seen.public)
    gradient, context = gradient_of(seen.model), Context(seen.generator)

    def one(image: Tensor, label: Tensor) -> Update:
        return gradient(image[None], label[None])

    every = vmap(one, randomness="different")
    size = min(_AT_A_TIME, max(1, _NUMBERS // sum(p.numel() for p in seen.model.parameters())))
    for images, labels in zip(torch.split(pictures.images, size), torch.split(pictures.labels, size), strict=True):
        found = every(images.to(seen.device), labels.to(seen.device))
        if stack.acts("per_example"):
            alone = [stack.at("per_example", [tuple(t[k] for t in found)], context)[0] for k in range(len(labels))]
            found = tuple(torch.stack(of_one) for of_one in zip(*alone, strict=True))
        yield torch.cat([t.flatten(1) for t, there in zip(found, chosen, strict=True) if there], dim=1)


def fully_connected(network: nn.Module, layers: Layers, last: str) -> list[str]:
    """Names of the fully connected layers with a bias: the last one, by its name, or all."""
    every = [name for name, m in network.named_modules() if isinstance(m, nn.Linear) and m.bias is not None]
    return [name for name in every if layers == "all" or name == last]


def _chosen(public: Public, names: list[str], layers: Layers) -> list[bool]:
    """Which parameters belong to the layers asked for."""
    last = public.last_linear()
    if layers == "all" or last is None:
        return [True] * len(names)
    prefix = f"{last[0]}." if last[0] else ""
    return [name in (f"{prefix}weight", f"{prefix}bias") for name in names]
