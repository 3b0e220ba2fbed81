"""One layer's weighted least-squares problem, by channel blocks where they determine the input, else as a whole.

The unknown h has `channels` blocks of `pixels`. Its normal matrix is block-diagonal from the gradient equations
(the same rows for each channel, other weights) plus W' L W from the forward ones plus the prior's precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from invbench.peeling.conjugate import minimise
from invbench.updates.equations import rank

_PROBES = 32  # random signs for the diagonal of an inverse
_EXACT = 1024  # unknowns up to which that diagonal is computed exactly where it may be estimated


class NotSolvable(Exception):
    """Equations with numbers too large for float64."""


@dataclass(frozen=True, eq=False)
class Equations:
    """`rows` `(R, pixels)` with right-hand sides and precisions `(channels, R)`; the forward equations by their
    normal matrix or rows; a prior of mean and precision `(channels,)`, or of mean zero and `correlated` `(n, n)`.

    `forward_rows()` `(M, n)`, `forward_normal()` `(n, n)`, `forward_target` and `forward_precision` `(M,)`,
    `forward(h)` and `forward_transpose(v)` give W h and W' v.
    """

    rows: Tensor
    targets: Tensor
    precisions: Tensor
    forward_rows: Callable[[], Tensor]
    forward_normal: Callable[[], Tensor]
    forward: Callable[[Tensor], Tensor]
    forward_transpose: Callable[[Tensor], Tensor]
    forward_target: Tensor
    forward_precision: Tensor
    prior_mean: Tensor
    prior_precision: Tensor
    correlated: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Solution:
    """Posterior `mean` and `variance` `(n,)`.

    `open_share`: trace(posterior covariance * prior precision), what the equations leave open. `condition`: lower bound
    of the condition number, sqrt(max diag A * max diag A^-1) for the normal matrix A.
    """

    mean: Tensor
    variance: Tensor
    open_share: float
    condition: float

    @property
    def rank(self) -> int:
        """n - trace(posterior covariance * prior precision)."""
        return rank(len(self.mean), self.open_share, self.condition)


def solve(equations: Equations, *, last: bool = False, correlated: Callable[[], Tensor] | None = None) -> Solution:
    """The posterior mean and variance of the unknowns; of the `last` layer the variance may be an estimate.

    Where the equations leave something open, `correlated`, if given, is the prior that fills it in.
    """
    channels, rows = equations.targets.shape
    pixels = equations.rows.shape[1]
    blocks = _cost_of_blocks(channels, pixels, len(equations.forward_target))
    whole = (channels * pixels) ** 3
    by_blocks = rows >= pixels and blocks < whole
    solution = _by_blocks(equations) if by_blocks else _as_a_whole(equations, last)
    if correlated is None or solution.rank == len(solution.mean):
        return solution
    filled = _as_a_whole(replace(equations, correlated=correlated()), last)
    return replace(solution, mean=filled.mean, variance=filled.variance)


def _cost_of_blocks(channels: int, pixels: int, forward: int) -> float:
    return channels * pixels**2 * (pixels + 2 * forward) + 2 * forward**2 * channels * pixels + forward**3


def _blocks(equations: Equations) -> Tensor:
    """The gradient equations' normal blocks `(channels, pixels, pixels)`, with the prior if it is one of channels."""
    rows = equations.rows
    blocks = torch.stack([rows.T @ (rows * weights[:, None]) for weights in equations.precisions])
    if equations.correlated is None:
        blocks.diagonal(dim1=1, dim2=2).add_(equations.prior_precision[:, None])
    return blocks


def _as_a_whole(equations: Equations, last: bool) -> Solution:
    blocks = _blocks(equations)
    channels, pixels = blocks.shape[:2]
    normal = equations.forward_normal()
    if equations.correlated is not None:
        normal += equations.correlated
    for channel in range(channels):
        here = slice(channel * pixels, (channel + 1) * pixels)
        normal[here, here] += blocks[channel]
    largest, size = float(normal.diagonal().max()), normal.diagonal().rsqrt()
    normal.mul_(size[:, None]).mul_(size[None])
    factor = cholesky(normal)

    def inverse(columns: Tensor) -> Tensor:
        return size[:, None] * torch.cholesky_solve(size[:, None] * columns, factor)

    mean = _minimum(equations, inverse)
    if last and len(mean) > _EXACT:
        variance = estimated_diagonal(inverse, len(mean))
    else:
        variance = torch.cholesky_inverse(factor).diagonal() * size.square()
    return _described(mean, variance, equations, largest)


def _by_blocks(equations: Equations) -> Solution:
    """Woodbury: invert the blocks, then correct for the forward equations."""
    blocks = _blocks(equations)
    channels, pixels = blocks.shape[:2]
    known = equations.forward_precision > 1e-20 * equations.forward_precision.max()
    forward = equations.forward_rows()[known]
    precision = equations.forward_precision[known]
    size = blocks.diagonal(dim1=1, dim2=2).rsqrt()
    factors = cholesky(size[:, :, None] * blocks * size[:, None, :])

    def block_inverse(columns: Tensor) -> Tensor:
        shaped = columns.reshape(channels, pixels, -1) * size[:, :, None]
        return (torch.cholesky_solve(shaped, factors) * size[:, :, None]).reshape(columns.shape)

    reach = block_inverse(forward.T.contiguous())  # (n, M)
    root = precision.sqrt()
    inner = (forward @ reach) * root[:, None] * root[None]
    inner.diagonal().add_(1.0)
    inner_factor = cholesky(inner)
    reach = reach * root

    def inverse(columns: Tensor) -> Tensor:
        first = block_inverse(columns)
        return first - reach @ torch.cholesky_solve(root[:, None] * (forward @ first), inner_factor)

    mean = _minimum(equations, inverse)
    inverted = torch.cholesky_inverse(factors).diagonal(dim1=1, dim2=2) * size.square()
    half = torch.linalg.solve_triangular(inner_factor, reach.T, upper=False)
    diagonal = (inverted.flatten() - half.square().sum(dim=0)).clamp(min=1e-30)

    forward_diagonal = (precision[:, None] * forward.square()).sum(dim=0)
    largest = float((blocks.diagonal(dim1=1, dim2=2).flatten() + forward_diagonal).max())
    return _described(mean, diagonal, equations, largest)


def _minimum(equations: Equations, inverse: Callable[[Tensor], Tensor]) -> Tensor:
    """The posterior mean `(n,)`. What rounding leaves of one solution with `inverse`, the next takes."""

    def pull(mean: Tensor) -> Tensor:  # of the prior
        if equations.correlated is not None:
            return -(equations.correlated @ mean)
        shaped = mean.reshape(len(equations.targets), -1)
        return (equations.prior_precision[:, None] * (equations.prior_mean[:, None] - shaped)).flatten()

    def descent(mean: Tensor) -> Tensor:
        shaped = mean.reshape(len(equations.targets), -1)
        rows = (equations.precisions * (equations.targets - shaped @ equations.rows.T)) @ equations.rows
        forward = equations.forward_precision * (equations.forward_target - equations.forward(mean))
        return rows.flatten() + pull(mean) + equations.forward_transpose(forward)

    def curvature(change: Tensor) -> float:
        shaped = change.reshape(len(equations.targets), -1)
        rows = equations.precisions * (shaped @ equations.rows.T).square()
        forward = equations.forward_precision * equations.forward(change).square()
        return float(rows.sum() + forward.sum() - change @ (pull(change) - pull(torch.zeros_like(change))))

    size = equations.targets.shape[0] * equations.rows.shape[1]
    return minimise(size, descent, curvature, lambda slope: inverse(slope[:, None])[:, 0])


def cholesky(matrix: Tensor) -> Tensor:
    """The lower factor; a matrix that rounding made indefinite is helped by the least power of ten that does.

    NotSolvable where none does, as where it holds numbers that are not finite.
    """
    help_ = 0.0
    while True:
        factor: Tensor
        factor, info = torch.linalg.cholesky_ex(matrix)
        if not info.any():
            return factor
        more = 1e-15 if help_ == 0.0 else 9 * help_
        matrix = matrix.clone()
        matrix.diagonal(dim1=-2, dim2=-1).add_(more)
        help_ += more
        if help_ > 1:
            raise NotSolvable("a layer's equations overflow: its normal matrix is not positive definite")


def estimated_diagonal(inverse: Callable[[Tensor], Tensor], size: int) -> Tensor:
    """The diagonal of a positive operator from random signs (Bekas, Kokiopoulou and Saad 2007), never below zero."""
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, (size, _PROBES), generator=generator).double() * 2 - 1
    return (signs * inverse(signs)).mean(dim=1).clamp(min=0)


def _described(mean: Tensor, variance: Tensor, equations: Equations, largest: float) -> Solution:
    prior = equations.prior_precision.repeat_interleave(equations.rows.shape[1])
    return Solution(mean, variance, float((variance * prior).sum()), math.sqrt(largest * float(variance.max())))
