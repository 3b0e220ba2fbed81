"""How a whole gradient changes with the picture: the gradient, and J' diag(1/variance) J without ever forming J.

J `(gradient entries, pixels)` is the Jacobian of the client's gradient in the normalised picture; with independent
noise of those variances J' diag(1/variance) J is the Fisher information of the picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from invbench.peeling.chain import Link, prefix
from invbench.peeling.elementwise import INVERTIBLE, activation, batch_norm_constants
from invbench.peeling.pooling import is_pooling, pooling_matrix
from invbench.peeling.weighted import apply as apply_weights
from invbench.peeling.weighted import forward_matrix, geometry, kernel, transposed, unfolded_error

_Sent = Mapping[str, tuple[Tensor, Tensor]]
"""What was seen of each parameter's gradient, and its variance."""


@dataclass(frozen=True, eq=False)
class Information:
    """`matrix` `(n, n)`: J' W J; `pull` `(n,)`: J' W (seen - gradient); `residual`: the weighted squared residual."""

    matrix: Tensor
    pull: Tensor
    residual: float


@dataclass(frozen=True, eq=False)
class _Rows:
    """Some of J's rows, transposed `(n, R)`, with residuals and precisions `(R,)`."""

    changes: Tensor
    residual: Tensor
    precision: Tensor


def information(
    chain: Sequence[Link], picture: Tensor, label: int, seen: Mapping[str, Tensor], variances: Mapping[str, Tensor]
) -> Information:
    """Fisher information at `picture` `(C, H, W)` of what was seen, by parameter name; float64 on the CPU.

    Tangents of every pixel go up through the network with the values, then down with the error signal.
    """
    sent = {name: (tensor, variances[name]) for name, tensor in seen.items()}
    size = picture.numel()
    matrix, pull, residual = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64), 0.0
    values, tangents = _upwards(chain, picture)
    scores = values[-1]
    probabilities = scores.softmax(dim=0)
    error = probabilities.clone()
    error[label] -= 1
    moved = tangents[-1]
    change = moved * probabilities - (moved @ probabilities)[:, None] * probabilities
    for position in reversed(range(len(chain))):
        link = chain[position]
        error, change = error.reshape(link.after), change.reshape(size, *link.after)
        for rows in _rows(link, values[position], tangents[position], error, change, sent):
            known = rows.precision > 0
            weighted = rows.changes * rows.precision.sqrt()
            _add_square(matrix, weighted)
            pull += rows.changes @ (rows.precision * rows.residual)
            residual += float((rows.precision * rows.residual.square())[known].sum())
        if position:
            error, change = _downwards(link, values[position], tangents[position], error, change)
    return Information(matrix, pull, residual)


def rows_of_jacobian(chain: Sequence[Link], variances: Mapping[str, Tensor]) -> int:
    """How many rows of J `information` multiplies, biases apart: its cost, not how many are independent."""
    rows = 0
    for link in chain:
        if isinstance(link.layer, nn.Linear | nn.Conv2d):
            entries = variances[f"{prefix(link)}weight"]
            known = torch.isfinite(entries)
            few = isinstance(link.layer, nn.Linear) and bool(known.all())
            rows += sum(link.layer.weight.shape) if few else int(known.sum())
    return rows


def weighted_residual(
    chain: Sequence[Link], picture: Tensor, label: int, seen: Mapping[str, Tensor], variances: Mapping[str, Tensor]
) -> float:
    """The weighted squared residual of the gradient at `picture`, over the entries that were shared."""
    total = 0.0
    for name, simulated in gradient_of(chain, picture, label).items():
        variance = variances[name]
        squares = (seen[name] - simulated).square() / variance
        total += float(squares[torch.isfinite(variance)].sum())
    return total


def gradient_of(chain: Sequence[Link], picture: Tensor, label: int) -> dict[str, Tensor]:
    """The client's gradient at batch 1, by parameter name, float64."""
    parameters = {prefix(link) + name: p for link in chain for name, p in link.layer.named_parameters()}
    with torch.enable_grad():
        value = picture[None]
        for link in chain:
            value = link.layer(value)
        loss = cross_entropy(value, torch.tensor([label]))
        slopes = torch.autograd.grad(loss, list(parameters.values()))
    return dict(zip(parameters, slopes, strict=True))


def _upwards(chain: Sequence[Link], picture: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Values and tangents `(n, features)` before every link, and after the last."""
    value, tangent = picture, torch.eye(picture.numel(), dtype=torch.float64)
    values, tangents = [value], [tangent]
    with torch.no_grad():
        for position, link in enumerate(chain):
            if position == 0 and isinstance(link.layer, nn.Conv2d):  # each pixel's change is itself
                tangent = forward_matrix(geometry(link), kernel(link.layer)).T.contiguous()
            else:
                tangent = _tangent(link, value.reshape(link.before), tangent)
            value = link.layer(value.reshape(1, *link.before))[0]
            values.append(value)
            tangents.append(tangent.reshape(len(tangent), -1))
    return values, tangents


def _tangent(link: Link, value: Tensor, tangent: Tensor) -> Tensor:
    layer = link.layer
    if isinstance(layer, nn.Linear | nn.Conv2d):
        return apply_weights(layer, tangent.reshape(-1, *link.before)).flatten(1)
    if type(layer) in INVERTIBLE:
        return tangent * activation(layer, value)[0].flatten()
    if is_pooling(layer):
        matrix = pooling_matrix(layer, link.before)
        return (tangent.reshape(len(tangent), link.before[0], -1) @ matrix.T).flatten(1)
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        return tangent * _per_value(batch_norm_constants(layer)[0], value.shape)
    return tangent


def _downwards(link: Link, value: Tensor, tangent: Tensor, error: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
    """Error signal and its changes before the link, from those after it."""
    layer, size = link.layer, len(change)
    if isinstance(layer, nn.Linear | nn.Conv2d):
        return transposed(link, error[None])[0], transposed(link, change)
    if type(layer) in INVERTIBLE:
        first, second = activation(layer, value.reshape(link.before))
        bent = tangent.reshape(size, *link.before) * (error * second)
        return error * first, change * first + bent
    if is_pooling(layer):
        matrix, channels = pooling_matrix(layer, link.before), link.before[0]
        return (
            (error.reshape(channels, -1) @ matrix).reshape(link.before),
            (change.reshape(size, channels, -1) @ matrix).reshape(size, *link.before),
        )
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        scale = _per_value(batch_norm_constants(layer)[0], link.before).reshape(link.before)
        return error * scale, change * scale
    return error.reshape(link.before), change.reshape(size, *link.before)


def _rows(
    link: Link,
    value: Tensor,
    tangent: Tensor,
    error: Tensor,
    change: Tensor,
    sent: _Sent,
) -> list[_Rows]:
    layer, name = link.layer, prefix(link)
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and f"{name}weight" in sent:
        return _batch_norm_rows(link, value, tangent, error, change, sent)
    if not isinstance(layer, nn.Linear | nn.Conv2d):
        return []
    size, outputs = len(change), len(layer.weight)
    error, change = error.reshape(outputs, -1), change.reshape(size, outputs, -1)
    found = []
    if f"{name}bias" in sent:
        found.append(_row(error.sum(dim=1), change.sum(dim=2), f"{name}bias", sent))
    variance = sent[f"{name}weight"][1]
    if isinstance(layer, nn.Linear) and bool(torch.isfinite(variance).all()):
        return [*found, *_rank_one_rows(value, tangent, error[:, 0], change[:, :, 0], f"{name}weight", sent)]
    shape = geometry(link)
    by_value = tangent.reshape(size, shape.channels, shape.pixels) @ unfolded_error(shape, error).T
    by_value = by_value.reshape(size, shape.channels, outputs, -1).transpose(1, 2)
    padded = torch.cat([value.reshape(shape.channels, -1), torch.zeros(shape.channels, 1, dtype=value.dtype)], dim=1)
    patches = padded[:, shape.patch].permute(1, 0, 2).reshape(len(shape.patch), -1)  # (positions, channels * taps)
    by_value = by_value.reshape(size, outputs, -1) + change @ patches
    return [*found, _row(error @ patches, by_value, f"{name}weight", sent)]


def _rank_one_rows(
    value: Tensor,
    tangent: Tensor,
    error: Tensor,
    change: Tensor,
    name: str,
    sent: _Sent,
) -> list[_Rows]:
    """The K n Jacobian rows of a rank-one gradient d h', reduced to K + n - 1: those of a basis with d and h first.

    Entries count as equally uncertain, by their mean variance. Then Q d h' P' for orthogonal Q and P is as good as
    d h'. With Q d = |d| e_1 and P h = |h| e_1, the change Q (dd h' + d dh') P' is |h| Q dd in its first column,
    |d| P dh in its first row, and zero elsewhere.
    """
    across, along = _basis(error), _basis(value.flatten())
    seen, variance = sent[name]
    gap = across @ (seen - torch.outer(error, value.flatten())) @ along.T
    precision = 1 / variance.mean()
    d, h = error.norm(), value.norm()
    column = h * (change @ across.T)
    row = d * (tangent @ along.T)
    changes = torch.cat([column[:, 1:], (column[:, :1] + row[:, :1]), row[:, 1:]], dim=1)
    residual = torch.cat([gap[1:, 0], gap[0]])
    rest = gap[1:, 1:].flatten()
    still = torch.zeros(len(tangent), 1, dtype=value.dtype)
    return [
        _Rows(changes, residual, precision.expand(len(residual))),
        _Rows(still, rest.norm().reshape(1), precision.reshape(1)),
    ]


def _basis(direction: Tensor) -> Tensor:
    """An orthogonal matrix whose first row is along `direction` `(k,)`: a Householder reflection."""
    size = direction.norm()
    mirror = direction.clone()
    sign = 1.0 if direction[0] >= 0 else -1.0
    mirror[0] += sign * size
    length = mirror.square().sum()
    reflection = torch.eye(len(direction), dtype=direction.dtype)
    if length > 0:
        reflection -= 2 * torch.outer(mirror, mirror) / length
    reflection[0] *= -sign
    return reflection


def _batch_norm_rows(
    link: Link,
    value: Tensor,
    tangent: Tensor,
    error: Tensor,
    change: Tensor,
    sent: _Sent,
) -> list[_Rows]:
    """dL/dweight = sum of error times normalised value, dL/dbias = sum of error, per channel."""
    layer, name, size, channels = link.layer, prefix(link), len(change), link.before[0]
    assert isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    deviation = (layer.running_var + layer.eps).sqrt()
    normal = (value.reshape(channels, -1) - layer.running_mean[:, None]) / deviation[:, None]
    moved = tangent.reshape(size, channels, -1) / deviation[:, None]
    error, change = error.reshape(channels, -1), change.reshape(size, channels, -1)
    weight = _row((error * normal).sum(dim=1), (change * normal + error * moved).sum(dim=2), f"{name}weight", sent)
    return [weight, _row(error.sum(dim=1), change.sum(dim=2), f"{name}bias", sent)]


def _row(gradient: Tensor, changes: Tensor, name: str, sent: _Sent) -> _Rows:
    seen, variance = (tensor.flatten() for tensor in sent[name])
    known = torch.isfinite(variance)
    residual = torch.where(known, seen - gradient.flatten(), 0.0)
    return _Rows(changes.flatten(1), residual, torch.where(known, 1 / variance, 0.0))


def _add_square(matrix: Tensor, factor: Tensor) -> None:
    """matrix += factor factor', block by block of the lower half, then mirrored."""
    size = len(factor)
    step = max(256, -(-size // 6))
    for top in range(0, size, step):
        rows = slice(top, top + step)
        for left in range(0, top + 1, step):
            columns = slice(left, left + step)
            product = factor[rows] @ factor[columns].T
            matrix[rows, columns] += product
            if left != top:
                matrix[columns, rows] += product.T


def _per_value(constants: Tensor, shape: tuple[int, ...] | torch.Size) -> Tensor:
    view = constants.reshape(-1, *(1,) * (len(shape) - 1))
    return view.expand(shape).flatten()
