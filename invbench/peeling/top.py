"""The classifier's input and its error signal from the gradient of the last linear layer alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.peeling.signal import Signal

_SWEEPS = 100  # of alternating least squares, at most
_RANGE, _GRID = 24.0, 241  # logarithmic range and number of lengths tried where no bias tells the input's


@dataclass(frozen=True, eq=False)
class Top:
    """`signal`: at the classifier's input. `labels`: the picture's class, then the others from the likeliest down.

    `residual`: of the rank-one fit, in standard deviations. `scale`: the factor that was on the whole update; `signal`
    is without it.
    """

    signal: Signal
    labels: tuple[int, ...]
    residual: float
    scale: float


def read_top(
    layer: nn.Linear,
    weight: Tensor,
    bias: Tensor | None,
    variances: tuple[Tensor, Tensor | None],
    *,
    scaled: bool = False,
) -> Top:
    """Take dL/dW = (p - y) h' and dL/db = p - y apart (Zhu and Blaschko 2021, section 3.1; batch 1, cross-entropy).

    `weight` `(K, n)`, `bias` `(K,)` and `variances` of the same shapes. [dL/dW | dL/db] = d [h | 1]' has rank one:
    a weighted least-squares fit gives d and h from all of its entries. Without a bias the fit leaves h's length
    open; it is the one at which softmax(W h) - y = d. `scaled`: the update may be a multiple of the gradient; then
    d tells a direction only, and its length is that of softmax(W h + b) - y.
    """
    seen, variance = weight, variances[0]
    if bias is not None and variances[1] is not None:
        seen = torch.cat([weight, bias[:, None]], dim=1)
        variance = torch.cat([variances[0], variances[1][:, None]], dim=1)
    precision = 1 / variance
    error, values = _rank_one(seen, precision)
    if bias is not None:
        scale = values[-1]
        values = values / torch.where(scale == 0, 1.0, scale)
        error = error * scale
        values, error = _known_last(seen, precision, values, error)
        h = values[:-1]
    else:
        h, error = _by_length(layer, values, error, scaled)
    negative = bool(error.min() < 0)  # none where p rounds to 1 at the label: then the label is what h says
    ranked = (error if negative else -layer(h).detach()).argsort().tolist()
    fitted = error[:, None] * (values if bias is not None else h)[None]
    known = torch.isfinite(variance)
    residual = ((seen - fitted).square() * precision)[known].mean().sqrt()
    value_variance = 1 / (precision[:, : len(h)] * error[:, None].square()).sum(dim=0).clamp(min=1e-30)
    full = values if bias is not None else h
    error_variance = 1 / (precision * full[None].square()).sum(dim=1).clamp(min=1e-30)
    factor = _scale(layer, h, error, ranked[0]) if scaled else 1.0
    matrix = layer.weight.detach().T
    below, squared = matrix @ error / factor, matrix.square() @ error_variance / factor**2
    return Top(Signal(h, value_variance, below, squared), tuple(ranked), float(residual), factor)


def _rank_one(seen: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
    """d `(K,)` and v `(n,)` of the weighted best d v', by alternating least squares from the heaviest row."""
    known = torch.where(torch.isfinite(precision) & (precision > 0), seen, 0.0)
    v = known[known.square().sum(dim=1).argmax()]
    d = torch.zeros(len(seen), dtype=seen.dtype)
    for _ in range(_SWEEPS):
        before = v
        d = (precision * known * v).sum(dim=1) / (precision * v.square()).sum(dim=1).clamp(min=1e-300)
        v = (precision * known * d[:, None]).sum(dim=0) / (precision * d[:, None].square()).sum(dim=0).clamp(min=1e-300)
        if (v - before).norm() <= 1e-14 * v.norm():
            break
    return d, v


def _known_last(seen: Tensor, precision: Tensor, values: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
    """Refit with the last entry of `values` fixed at 1."""
    for _ in range(_SWEEPS):
        before = values
        error = (precision * seen * values).nansum(dim=1) / (precision * values.square()).sum(dim=1).clamp(min=1e-300)
        weighted = precision * error[:, None]
        values = (weighted * seen).sum(dim=0) / (weighted * error[:, None]).sum(dim=0).clamp(min=1e-300)
        values[-1] = 1.0
        if (values - before).norm() <= 1e-14 * values.norm():
            break
    return values, error


def _scale(layer: nn.Linear, h: Tensor, error: Tensor, label: int) -> float:
    """The factor between the error signal that was shared and the one that h gives."""
    expected: Tensor = layer(h).detach().softmax(dim=0)
    expected[label] -= 1
    factor = float(error @ expected / expected.square().sum())
    return min(max(factor, 1e-12), 1e12) if math.isfinite(factor) else 1.0


def _by_length(layer: nn.Linear, direction: Tensor, error: Tensor, scaled: bool) -> tuple[Tensor, Tensor]:
    """h = t v and d / t at the length t for which the forward pass agrees: softmax(t W v) - y = d / t.

    `scaled`: agrees in direction.

    The sign of t makes exactly one entry of d / t negative, the label's.
    """
    bias = 0.0 if layer.bias is None else layer.bias.detach()
    scores = layer.weight.detach() @ direction
    sign = 1.0 if (error < 0).sum() <= (error > 0).sum() else -1.0
    label = int((error * sign).argmin())

    def misfit(lengths: Tensor) -> Tensor:
        simulated = (lengths[:, None] * sign * scores + bias).softmax(dim=1)
        simulated[:, label] = simulated[:, label] - 1
        wanted = error * sign / lengths[:, None]
        if scaled:
            wanted = wanted * (simulated * wanted).sum(dim=1, keepdim=True) / wanted.square().sum(dim=1, keepdim=True)
        return (simulated - wanted).square().sum(dim=1)

    shortest = torch.log(error[label].abs()) - (_RANGE / 2 if scaled else 0)  # (p - y) at the label is above -1
    lengths = torch.exp(shortest + torch.linspace(0, _RANGE, _GRID, dtype=error.dtype))
    best = lengths[misfit(lengths).argmin()]
    step = _RANGE / (_GRID - 1)
    for _ in range(12):
        around = best * torch.exp(torch.linspace(-step, step, _GRID, dtype=error.dtype))
        best = around[misfit(around).argmin()]
        step = 2 * step / (_GRID - 1)
    return best * sign * direction, error * sign / best
