"""The picture from one update, from the classifier down to the first layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from invbench.peeling.chain import Link, has_weights, prefix
from invbench.peeling.elementwise import INVERTIBLE, ROUNDING, below_activation, below_batch_norm
from invbench.peeling.least_squares import Equations, solve
from invbench.peeling.pooling import below_pooling, is_pooling
from invbench.peeling.prior import precision as natural_precision
from invbench.peeling.signal import Signal
from invbench.peeling.top import read_top
from invbench.peeling.weighted import (
    apply,
    forward_matrix,
    forward_normal,
    geometry,
    kernel,
    rows_of,
    transposed,
    unfolded_error,
)
from invbench.updates.equations import rank as directions_told

_WIDER = 4.0  # a layer's prior variance is this many times that of standard normal pictures


@dataclass(frozen=True)
class LayerReport:
    """What one layer's equations say of its input: `rank` of `unknowns`, the condition of those, the residual in
    standard deviations (1 is what the variances promise)."""

    layer: str
    unknowns: int
    rank: int
    condition: float
    residual: float


@dataclass(frozen=True, eq=False)
class Peeled:
    """`picture` `(C, H, W)` normalised, `variance` of each pixel, and a report a layer, top first.

    `labels`: the picture's, then the other classes from the likeliest down. `scale`: the factor that the client had
    put on its update. `open_shares`: what each layer's equations leave open, see `Solution.open_share`.
    """

    picture: Tensor
    variance: Tensor
    labels: tuple[int, ...]
    scale: float
    layers: tuple[LayerReport, ...]
    open_shares: tuple[float, ...]

    def determined(self, widened: float) -> bool:
        """Whether every layer's rank is full where variances are so many times larger."""
        return all(
            directions_told(layer.unknowns, widened * share, layer.condition) == layer.unknowns
            for layer, share in zip(self.layers, self.open_shares, strict=True)
        )


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and variance `(channels,)` of a layer's input over standard normal pictures: its weak prior."""

    mean: Tensor
    variance: Tensor


def peel(
    chain: Sequence[Link],
    update: Mapping[str, Tensor],
    variances: Mapping[str, Tensor],
    *,
    scaled: bool = False,
) -> Peeled:
    """Read the picture off a gradient of batch 1. `update` and `variances` by parameter name, float64 on the CPU.

    An entry that was not shared has infinite variance. `scaled`: the update may be a multiple of the gradient.
    """
    priors = _priors(chain)
    top = chain[-1]
    assert isinstance(top.layer, nn.Linear)
    weight, bias = f"{prefix(top)}weight", f"{prefix(top)}bias"
    read = read_top(
        top.layer, update[weight], update.get(bias), (variances[weight], variances.get(bias)), scaled=scaled
    )
    if read.scale != 1.0:
        update = {name: tensor / read.scale for name, tensor in update.items()}
        variances = {name: tensor / read.scale**2 for name, tensor in variances.items()}
    signal = read.signal
    size = len(signal.value)
    shares = [float((signal.value_variance / priors[-1].variance).clamp(max=1).sum())]
    reports = [LayerReport(top.name, size, directions_told(size, shares[0], 1.0), 1.0, read.residual)]
    lowest = next(link for link in chain if has_weights(link))
    natural = _natural(chain[: chain.index(lowest)], chain[0].before)
    for link, prior in zip(reversed(chain[:-1]), reversed(priors[:-1]), strict=True):
        signal = signal.reshape(link.after)
        if has_weights(link):
            fill = natural if link is lowest else None
            signal, report, share = _below_weighted(
                link, signal, prior, update, variances, last=link is lowest, correlated=fill
            )
            reports.append(report)
            shares.append(share)
        elif type(link.layer) in INVERTIBLE:
            signal = below_activation(link.layer, signal)
        elif is_pooling(link.layer):
            signal = below_pooling(link.layer, signal, link.before, float(prior.variance.mean()))
        elif isinstance(link.layer, nn.BatchNorm1d | nn.BatchNorm2d):
            signal = below_batch_norm(link.layer, signal)
        else:
            signal = signal.reshape(link.before)
    shape = chain[0].before
    value, variance = signal.value.reshape(shape), signal.value_variance.reshape(shape)
    return Peeled(value, variance, read.labels, read.scale, tuple(reports), tuple(shares))


def _below_weighted(
    link: Link,
    above: Signal,
    prior: Moments,
    update: Mapping[str, Tensor],
    variances: Mapping[str, Tensor],
    *,
    last: bool,
    correlated: Callable[[], Tensor] | None,
) -> tuple[Signal, LayerReport, float]:
    """The signal below a layer, the layer's report, and what it leaves open: see `Solution.open_share`."""
    layer, shape, weight = link.layer, geometry(link), kernel(link.layer)
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    outputs, positions = len(weight), len(shape.patch)
    error = above.slope.reshape(outputs, positions)
    error_variance = above.slope_variance.reshape(outputs, positions)
    bias_name = f"{prefix(link)}bias"
    bias = torch.zeros(outputs, dtype=torch.float64) if layer.bias is None else layer.bias.detach()
    if positions == 1 and bias_name in update:  # the bias's gradient is the error signal once more
        error, error_variance = _combined(error, error_variance, update[bias_name], variances[bias_name])
    rows = unfolded_error(shape, error)
    size = (prior.mean.square() + prior.variance)[:, None]  # E h^2, for the error of the rows themselves
    row_variance = size * unfolded_error(shape, error_variance).sum(dim=1)
    seen, variance = rows_of(update[f"{prefix(link)}weight"]), rows_of(variances[f"{prefix(link)}weight"])
    known = torch.isfinite(variance)
    target = (above.value.reshape(outputs, positions) - bias[:, None]).flatten()
    forward_precision = 1 / above.value_variance.reshape(outputs, positions)
    equations = Equations(
        rows=rows,
        targets=torch.where(known, seen, 0.0),
        precisions=torch.where(known, 1 / (variance + row_variance), 0.0),
        forward_rows=lambda: forward_matrix(shape, weight),
        forward_normal=lambda: forward_normal(shape, weight, forward_precision),
        forward=lambda h: apply(layer, h.reshape(1, *link.before)).flatten(),
        forward_transpose=lambda v: transposed(link, v.reshape(1, *link.after)).flatten(),
        forward_target=target,
        forward_precision=forward_precision.flatten(),
        prior_mean=prior.mean,
        prior_precision=1 / prior.variance,
    )
    solution = solve(equations, last=last, correlated=correlated)
    report = LayerReport(link.name, shape.size, solution.rank, solution.condition, _residual(equations, solution.mean))
    slope, slope_variance = error.reshape(1, *link.after), error_variance.reshape(1, *link.after)
    value_variance = solution.variance + (2 * ROUNDING * solution.mean).square()
    below = Signal(
        solution.mean,
        value_variance,
        transposed(link, slope).flatten(),
        transposed(link, slope_variance, squared=True).flatten(),
    )
    return below.reshape(link.before), report, solution.open_share


def _residual(equations: Equations, mean: Tensor) -> float:
    rows = mean.reshape(len(equations.targets), -1) @ equations.rows.T - equations.targets
    forward = equations.forward(mean) - equations.forward_target
    squares = torch.cat(
        [(rows.square() * equations.precisions).flatten(), forward.square() * equations.forward_precision]
    )
    return float(squares.mean().sqrt())


def _combined(error: Tensor, variance: Tensor, again: Tensor, its_variance: Tensor) -> tuple[Tensor, Tensor]:
    again, its_variance = again.reshape(error.shape), its_variance.reshape(error.shape)
    known = torch.isfinite(its_variance)
    floor = 1e-60
    first, second = 1 / variance.clamp(min=floor), torch.where(known, 1 / its_variance.clamp(min=floor), 0.0)
    both = first + second
    return (first * error + second * torch.where(known, again, 0.0)) / both, 1 / both


def _natural(below: Sequence[Link], shape: tuple[int, ...]) -> Callable[[], Tensor] | None:
    """The natural-picture prior for the input of the lowest layer with weights, where that is the picture itself."""
    if any(not isinstance(link.layer, nn.Flatten) for link in below):
        return None
    channels, height, width = shape
    return partial(natural_precision, (channels, height, width))


def _priors(chain: Sequence[Link]) -> list[Moments]:
    """Each link's input over 64 standard normal pictures from a fixed stream, per channel."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(64, *chain[0].before, generator=generator, dtype=torch.float64)
    found = []
    with torch.no_grad():
        for position, link in enumerate(chain):
            by_channel = values.transpose(0, 1).reshape(values.shape[1], -1)
            mean, variance = by_channel.mean(dim=1), by_channel.var(dim=1) + 1e-6
            wider = 1.0 if position == 0 else _WIDER
            found.append(Moments(mean * (position > 0), wider * variance if position else torch.ones_like(variance)))
            values = link.layer(values)
    return found
