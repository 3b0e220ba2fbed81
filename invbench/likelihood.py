"""How well a guess explains an update, through the client and its defences: one measure for every attack.

    misfit = mean of (seen - expected)^2 / variance    over the coordinates that were shared

Expected is what the client would share, on average, if the guess were its batch; the variance is that of the
declared noise, of rounding, of what a compression leaves open, and of float32 arithmetic. At the truth it is about 1
where noise is declared, and at most about 1 where there is none: `arithmetic.py` bounds what any processor leaves.
Whoever holds the update can compute it: no truth is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from invbench import registry
from invbench.arithmetic import UNIT, error_of_softmax, sums
from invbench.defenses import PerExampleDefense, apply_per_example, expected, mean
from invbench.observation import Public, Update, UpdateObservation
from invbench.protocol.fedsgd import gradient, per_example_gradients

WEIGHING = 3 * UNIT
"""Relative error of a gradient's entry by which `noise` weighs equations: the entry's own and its tensor's usual size.

Without declared noise all weights scale with it and the answer does not depend on it; beside noise it is nothing. So
it need not hold on every processor. What judges an answer takes `arithmetic.py`'s error instead: see `widened`.
"""


def defenses(public: Public) -> list[Any]:
    """The declared stack, as parts."""
    return [registry.load("defense", d.name).build(dict(d.parameters)) for d in public.defenses]


def noise(seen: UpdateObservation, *, error: float = WEIGHING) -> tuple[Update, float]:
    """Noise variance of each coordinate (infinite: not sent), and the scalar that the declared defences applied (n/k
    for random-k)."""
    update = tuple(tensor.double() for tensor in seen.update)
    shared, variance = expected(defenses(seen.public), update, rounding(update, error), update)
    power = sum(float(u[m != 0].square().sum()) for u, m in zip(update, shared, strict=True))
    product = sum(float((u * m).sum()) for u, m in zip(update, shared, strict=True))
    return variance, product / power if power else 1.0


def widened(seen: UpdateObservation) -> float:
    """How many times larger than `noise` says a variance may be on any processor, at most, and at least 1.

    Weights that are wrong by no more than this factor leave an answer whose covariance is at most the stated one times
    it: with A the equations, S the assumed covariance and T <= r S the true one, (A' S^-1 A)^-1 A' S^-1 T S^-1 A
    (A' S^-1 A)^-1 <= r (A' S^-1 A)^-1.
    """
    public = seen.public
    with torch.device("meta"):
        counted, _ = sums(public.network, torch.zeros(public.batch_size, *public.image_shape))
    assumed, possible = noise(seen)[0], noise(seen, error=max(counted.relative_error, WEIGHING))[0]
    ratios = [p[a > 0] / a[a > 0] for a, p in zip(assumed, possible, strict=True)]
    return max((float(r[r.isfinite()].max()) for r in ratios if r.isfinite().any()), default=1.0)


def misfit(seen: UpdateObservation, images: Tensor, labels: Tensor, *, error: float | None = None) -> float:
    """The mean weighted squared residual of a guess: normalised `images` `(B, C, H, W)`, `labels` `(B,)`.

    `error`: relative error of an entry that counts as none; None: what float32 may leave on any processor.
    """
    squares, count = squared_residual(seen, images, labels, error=error)
    return squares / max(count, 1)


def squared_residual(
    seen: UpdateObservation, images: Tensor, labels: Tensor, *, error: float | None
) -> tuple[float, int]:
    """The sum of the weighted squares behind `misfit`, minus twice a log likelihood, and how many they are.

    Infinite where the guess has not the batch's size or gives no finite update.
    """
    if images.shape[0] != seen.public.batch_size or len(labels) != len(images):
        return math.inf, 1
    stack, update = defenses(seen.public), tuple(tensor.double() for tensor in seen.update)
    simulated = tuple(tensor.double() for tensor in _computed(seen, stack, images, labels))
    allowed = _of_arithmetic(seen, images, labels) if error is None else error
    shared, variance = expected(stack, simulated, rounding(update, allowed), update)
    total, count = 0.0, 0
    for u, m, v in zip(update, shared, variance, strict=True):
        known = torch.isfinite(v)
        total += float(((u - m).square() / v.clamp(min=torch.finfo(v.dtype).tiny))[known].sum())
        count += int(known.sum())
    return (total if math.isfinite(total) else math.inf), count


def _of_arithmetic(seen: UpdateObservation, images: Tensor, labels: Tensor) -> float:
    """The relative error that float32 may leave on any processor in the update that a guess gives."""
    counted, scores = sums(seen.model, images)
    return math.hypot(counted.relative_error, error_of_softmax(scores, labels))


def rounding(update: Update, error: float) -> Update:
    """The variance that arithmetic of this relative error puts on each coordinate."""
    return tuple(error**2 * (tensor.square() + tensor.square().mean()) for tensor in update)


def _computed(seen: UpdateObservation, stack: Sequence[object], images: Tensor, labels: Tensor) -> Update:
    """The update before the stack's `update` stage."""
    weights = {name: p.detach() for name, p in seen.model.named_parameters()}
    round_ = (seen.model, weights, dict(seen.model.named_buffers()), images, labels)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        if any(isinstance(defense, PerExampleDefense) for defense in stack):
            stream = torch.Generator().manual_seed(0)
            return mean(apply_per_example(stack, per_example_gradients(*round_), stream))
        return gradient(*round_)
