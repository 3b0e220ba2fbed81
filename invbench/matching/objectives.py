"""Distances between a simulated update and the one seen; scalars, differentiable, zero or near it when equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from invbench.observation import Update

Objective = Callable[[Update, Update], Tensor]
ObjectiveName = Literal["l2", "layer-l2", "layer-norms", "cosine", "masked-cosine", "interval-cosine", "declared"]


def l2(simulated: Update, seen: Update) -> Tensor:
    """Sum of squared differences over every parameter (Zhu et al. 2019, equation 4)."""
    return torch.stack([(a - b).square().sum() for a, b in zip(simulated, seen, strict=True)]).sum()


def layer_l2(simulated: Update, seen: Update) -> Tensor:
    """Squared differences of each tensor over its own squared norm, averaged over the tensors.

    Layers whose gradients are small then count as much as the others. A tensor that is all zero is left
    as an absolute difference.
    """
    terms = []
    for a, b in zip(simulated, seen, strict=True):
        size = b.square().sum()
        terms.append((a - b).square().sum() / torch.where(size > 0, size, 1.0))
    return torch.stack(terms).mean()


def layer_norms(simulated: Update, seen: Update) -> Tensor:
    """Sum over the tensors of each one's distance, not squared (Yin et al. 2021, arXiv 2104.07586, equation 3)."""
    return torch.stack([length((a - b,)) for a, b in zip(simulated, seen, strict=True)]).sum()


def cosine(simulated: Update, seen: Update) -> Tensor:
    """1 - cosine of the angle between the two updates as whole vectors (Geiping et al. 2020, equation 4)."""
    product = torch.stack([(a * b).sum() for a, b in zip(simulated, seen, strict=True)]).sum()
    return 1 - product / (length(simulated) * length(seen)).clamp_min(torch.finfo(product.dtype).tiny)


def masked_cosine(simulated: Update, seen: Update) -> Tensor:
    """The same over the coordinates that were shared: for sparsified updates, where zero means "not sent"."""
    masked = tuple(torch.where(b != 0, a, 0.0) for a, b in zip(simulated, seen, strict=True))
    return cosine(masked, seen)


def interval_cosine(simulated: Update, held: Update) -> Tensor:
    """The same, where a value inside the interval that the declared defences leave open counts as the one seen.

    `held`: the update seen, then the lower and the upper end of every coordinate's interval (`Stack.interval`), one
    tensor a parameter each. A coordinate that was not sent adds nothing; one that was rounded, or left out of a top-k,
    only by how far the simulated one lies outside what the rule allows. The simulated update is scaled to the one seen
    first, so that, as for every cosine, its length says nothing.
    """
    n = len(simulated)
    seen, low, high = held[:n], held[n : 2 * n], held[2 * n :]
    sent = tuple(torch.where(b != 0, a, 0.0) for a, b in zip(simulated, seen, strict=True))
    power = torch.stack([a.square().sum() for a in sent]).sum()
    product = torch.stack([(a * b).sum() for a, b in zip(sent, seen, strict=True)]).sum()
    scale = torch.where(product > 0, product / torch.where(power > 0, power, 1.0), 1.0)
    moved = (scale * a for a in simulated)
    outside = (a - a.clamp(lo, hi) for a, lo, hi in zip(moved, low, high, strict=True))
    return cosine(tuple(b + o for b, o in zip(seen, outside, strict=True)), seen)


def declared_cosine(simulated: Update, held: Update) -> Tensor:
    """`interval_cosine`, where entries of which nothing was told may be anything, whatever the defence.

    `held` is made by `declared.py`; without a defence it is the cosine.
    """
    return interval_cosine(simulated, held)


def sign_agreement(simulated: Update, held: Update) -> Tensor:
    """1 - sum s a / sum |a| of each tensor, averaged over the entries told: zero where every sign s is that of a.

    The cosine with signs asks for entries of one magnitude; this asks for their signs alone, and large entries, whose
    sign is surer, count more. A tensor's length says nothing. `held` as of `declared_cosine`.
    """
    n = len(simulated)
    seen, low, high = held[:n], held[n : 2 * n], held[2 * n :]
    lost, entries = [], []
    for a, s, lo, hi in zip(simulated, seen, low, high, strict=True):
        told = ~((lo == -torch.inf) & (hi == torch.inf))
        length = torch.where(told, a.abs(), 0.0).sum()
        agreed = torch.where(told, s.sign() * a, 0.0).sum() / torch.where(length > 0, length, 1.0)
        lost.append((1 - agreed) * told.sum())
        entries.append(told.sum())
    return torch.stack(lost).sum() / torch.stack(entries).sum().clamp_min(1)


OBJECTIVES: dict[str, Objective] = {
    "l2": l2,
    "layer-l2": layer_l2,
    "layer-norms": layer_norms,
    "cosine": cosine,
    "masked-cosine": masked_cosine,
    "interval-cosine": interval_cosine,
    "declared": declared_cosine,
}

DIRECTIONS: frozenset[Objective] = frozenset({cosine, masked_cosine, interval_cosine, declared_cosine, sign_agreement})
"""Those that know no length: a factor on the update changes nothing."""
INTERVALS: frozenset[Objective] = frozenset({interval_cosine, declared_cosine, sign_agreement})
"""Those that are held against both ends of every coordinate's interval, too."""
DECLARED: frozenset[Objective] = frozenset({declared_cosine, sign_agreement})
"""Of these, those whose intervals `declared.py` makes, of all that the declared defences say."""


def length(update: Update) -> Tensor:
    """The Euclidean norm of all entries; its slope at zero is zero."""
    return root(torch.stack([a.square().sum() for a in update]).sum())


def root(square: Tensor) -> Tensor:
    """The square root of what is not negative, its slope zero at zero, where that of a root is infinite."""
    return torch.where(square > 0, square, 1.0).sqrt() * (square > 0)
