"""How well a guess explains an update, through the client and its defences: one measure for every attack.

    misfit = mean of (seen - expected)^2 / variance    over the coordinates that were shared

Expected is what the client would share, on average, if the guess were its batch; the variance is that of the
declared noise, of rounding, of what a compression leaves open, and of float32 arithmetic. At the truth it is about 1.
Whoever holds the update can compute it: no truth is needed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from invbench.defenses import Context
from invbench.observation import Update, UpdateObservation
from invbench.updates.simulation import defended_gradient, simulate, stack_of

ROUNDING = 3 * 2.0**-24
"""Relative error of a gradient's entry in float32: of the entry itself and of its tensor's usual size."""


def noise(seen: UpdateObservation) -> tuple[Update, float]:
    """Variance of every coordinate of what is seen (infinite: not shared), and the factor that is known to be on it."""
    update = tuple(tensor.double() for tensor in seen.update)
    shared, variance = stack_of(seen.public).expected(update, rounding(update), update)
    power = sum(float(u[m != 0].square().sum()) for u, m in zip(update, shared, strict=True))
    product = sum(float((u * m).sum()) for u, m in zip(update, shared, strict=True))
    return variance, product / power if power else 1.0


def simulated(seen: UpdateObservation, images: Tensor, labels: Tensor) -> Update | None:
    """What the client would compute, before its defences act on the whole update, if a guess were its batch: float64.

    Normalised `images` `(B, C, H, W)`, `labels` `(B,)`; None where the guess has not the batch's size. Simulating takes
    as long as one evaluation of a search: a guess is simulated once and may then be judged at several errors.
    """
    if images.shape[0] != seen.public.pictures or len(labels) != len(images):
        return None
    return tuple(tensor.double() for tensor in _computed(seen, images, labels))


def misfit(seen: UpdateObservation, update: Update | None, *, error: float = ROUNDING) -> float:
    """The mean weighted squared residual of a `simulated` update.

    `error`: the relative error of an entry seen that counts as noise, float32's own unless told otherwise.
    """
    squares, count = squared_residual(seen, update, error=error)
    return squares / max(count, 1)


def squared_residual(seen: UpdateObservation, update: Update | None, *, error: float) -> tuple[float, int]:
    """The sum of the weighted squares behind `misfit`, minus twice a log likelihood, and how many they are.

    Infinite where nothing could be simulated or the simulated update is not finite.
    """
    if update is None:
        return math.inf, 1
    shared = tuple(tensor.double() for tensor in seen.update)
    told, variance = stack_of(seen.public).expected(update, rounding(shared, error), shared)
    total, count = 0.0, 0
    for u, m, v in zip(shared, told, variance, strict=True):
        known = torch.isfinite(v)
        total += float(((u - m).square() / v.clamp(min=torch.finfo(v.dtype).tiny))[known].sum())
        count += int(known.sum())
    return (total if math.isfinite(total) else math.inf), count


def rounding(update: Update, error: float = ROUNDING) -> Update:
    """The variance that arithmetic of this relative error puts on each coordinate."""
    return tuple(error**2 * (tensor.square() + tensor.square().mean()) for tensor in update)


def _computed(seen: UpdateObservation, images: Tensor, labels: Tensor) -> Update:
    """The update before the `update` stage of its defences."""
    context = Context(torch.Generator().manual_seed(0))
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        step = defended_gradient(stack_of(seen.public), context)
        return simulate(seen.public, seen.model, images, labels, gradient=step)
