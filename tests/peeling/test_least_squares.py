"""One layer's least-squares problem: by blocks, as a whole and by dense algebra the same answer; its rank."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from invbench.peeling.chain import Link
from invbench.peeling.least_squares import (
    Equations,
    NotSolvable,
    _as_a_whole,
    _by_blocks,
    cholesky,
    estimated_diagonal,
    solve,
)
from invbench.peeling.weighted import (
    apply,
    forward_matrix,
    forward_normal,
    geometry,
    kernel,
    transposed,
    unfolded_error,
)


def equations_of(layer: nn.Conv2d, before: tuple[int, int, int], *, noise: float = 1e-6) -> tuple[Equations, Tensor]:
    """A convolution's equations with entries of very different precision, and the input that they were made from."""
    torch.manual_seed(3)
    layer = layer.double()
    h = torch.randn(before, dtype=torch.float64)
    z = layer(h[None])[0].detach()
    link = Link("", layer, before, tuple(z.shape))
    shape, weight = geometry(link), kernel(layer)
    rows = unfolded_error(shape, torch.randn(len(weight), len(shape.patch), dtype=torch.float64))
    targets = h.reshape(shape.channels, -1) @ rows.T
    variance = noise**2 * torch.logspace(-1, 1, targets.numel(), dtype=torch.float64).reshape(targets.shape)
    spread = noise**2 * torch.logspace(1, -1, z.numel(), dtype=torch.float64).reshape(len(weight), -1)
    bias = 0.0 if layer.bias is None else layer.bias.detach()[:, None]
    return Equations(
        rows=rows,
        targets=targets + variance.sqrt() * torch.randn_like(targets),
        precisions=1 / variance,
        forward_rows=lambda: forward_matrix(shape, weight),
        forward_normal=lambda: forward_normal(shape, weight, 1 / spread),
        forward=lambda h: apply(layer, h.reshape(1, *before)).flatten(),
        forward_transpose=lambda v: transposed(link, v.reshape(1, *link.after)).flatten(),
        forward_target=(z.reshape(len(weight), -1) - bias).flatten(),
        forward_precision=(1 / spread).flatten(),
        prior_mean=torch.linspace(-0.5, 0.5, shape.channels, dtype=torch.float64),
        prior_precision=torch.linspace(0.5, 2, shape.channels, dtype=torch.float64),
    ), h.flatten()


def dense(equations: Equations) -> tuple[Tensor, Tensor]:
    """Mean and variance of the posterior from all equations written out, by lstsq."""
    channels, pixels = len(equations.targets), equations.rows.shape[1]
    blocks = [torch.block_diag(*[equations.rows] * channels), equations.forward_rows(), torch.eye(channels * pixels)]
    matrix = torch.cat([block.double() for block in blocks])
    prior_mean = equations.prior_mean.repeat_interleave(pixels)
    prior_precision = equations.prior_precision.repeat_interleave(pixels)
    targets = torch.cat([equations.targets.flatten(), equations.forward_target, prior_mean])
    root = torch.cat([equations.precisions.flatten(), equations.forward_precision, prior_precision]).sqrt()
    weighted = root[:, None] * matrix
    mean = torch.linalg.lstsq(weighted, (root * targets)[:, None], driver="gelsd").solution[:, 0]
    return mean, torch.linalg.pinv(weighted).square().sum(dim=1)


LAYERS = [
    (nn.Conv2d(2, 4, 3, padding=1), (2, 4, 4)),
    (nn.Conv2d(3, 6, 3, 2, 1, bias=False), (3, 6, 6)),
    (nn.Conv2d(1, 3, 2), (1, 4, 5)),
]


@pytest.mark.parametrize(("layer", "before"), LAYERS, ids=str)
@pytest.mark.parametrize("way", [_by_blocks, lambda e: _as_a_whole(e, False), solve], ids=["blocks", "whole", "solve"])
def test_mean_and_variance_are_those_of_dense_algebra(way, layer: nn.Conv2d, before: tuple[int, int, int]) -> None:  # type: ignore[no-untyped-def]
    equations, truth = equations_of(layer, before)
    mean, variance = dense(equations)
    found = way(equations)
    assert torch.allclose(found.mean, mean, atol=1e-9)
    assert torch.allclose(found.variance, variance, rtol=1e-4)
    assert found.rank == len(truth)
    assert float(((found.mean - truth).square() / variance).mean()) < 2  # the truth is where the variance says


@pytest.mark.parametrize("way", [_by_blocks, lambda e: _as_a_whole(e, False)], ids=["blocks", "whole"])
def test_what_no_equation_tells_lacks_in_the_rank_and_stays_at_the_prior(way) -> None:  # type: ignore[no-untyped-def]
    equations, truth = equations_of(nn.Conv2d(2, 4, 3, padding=1), (2, 4, 4))
    silent = equations.rows.clone()
    silent[:, :5] = 0.0  # no error signal reaches five pixels of either channel
    lacking = replace(
        equations,
        rows=silent,
        targets=truth.reshape(2, -1) @ silent.T,
        forward_precision=torch.full_like(equations.forward_precision, 1e-12),  # and the output is not known
        forward_normal=lambda: torch.zeros(32, 32, dtype=torch.float64),
    )
    found = way(lacking)
    assert found.rank == 32 - 10
    unseen = torch.arange(32) % 16 < 5
    assert torch.allclose(found.mean[unseen], lacking.prior_mean.repeat_interleave(5), atol=1e-6)
    assert torch.allclose(found.mean[~unseen], truth[~unseen], atol=1e-4)
    prior = 1 / lacking.prior_precision
    assert torch.allclose(found.variance[unseen], prior.repeat_interleave(5), rtol=1e-6)


def test_what_is_open_is_filled_in_by_the_prior_that_is_given() -> None:
    equations, truth = equations_of(nn.Conv2d(2, 4, 3, padding=1), (2, 4, 4))
    rows = equations.rows.clone()
    rows[:, :5] = 0.0
    silent = torch.full_like(equations.forward_precision, 1e-12)
    lacking = replace(
        equations, rows=rows, targets=truth.reshape(2, -1) @ rows.T, forward_precision=silent,
        forward_normal=lambda: torch.zeros(32, 32, dtype=torch.float64),
    )  # fmt: skip
    factor = torch.randn(32, 32, dtype=torch.float64)
    prior = factor @ factor.T + torch.eye(32, dtype=torch.float64)
    found = solve(lacking, correlated=lambda: prior)
    unseen = torch.arange(32) % 16 < 5
    told = -torch.linalg.solve(prior[unseen][:, unseen], prior[unseen][:, ~unseen] @ truth[~unseen])
    assert torch.allclose(found.mean[unseen], told, atol=1e-4)
    assert found.rank == 32 - 10  # filled in, not told
    assert torch.equal(solve(equations, correlated=lambda: prior).mean, solve(equations).mean)  # nothing is open


@pytest.mark.parametrize("noise", [1e-4, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12])
@pytest.mark.parametrize("way", [_by_blocks, lambda e: _as_a_whole(e, False)], ids=["blocks", "whole"])
def test_an_open_direction_lacks_in_the_rank_however_precise_the_others_are(way, noise: float) -> None:  # type: ignore[no-untyped-def]
    equations, truth = equations_of(nn.Conv2d(2, 4, 3, padding=1), (2, 4, 4), noise=noise)
    same = equations.rows.clone()
    same[:, 1] = same[:, 0]  # the first two pixels are only seen together
    lacking = replace(
        equations,
        rows=same,
        targets=truth.reshape(2, -1) @ same.T,
        forward_precision=torch.full_like(equations.forward_precision, 1e-12),
        forward_normal=lambda: torch.zeros(32, 32, dtype=torch.float64),
    )
    assert way(lacking).rank < 32


def test_a_matrix_that_rounding_made_indefinite_is_helped_and_one_that_is_not_finite_is_refused() -> None:
    nearly = torch.eye(3, dtype=torch.float64)
    nearly[2, 2] = -1e-14
    factor = cholesky(nearly)
    assert torch.allclose(factor @ factor.T, nearly, atol=1e-12)
    with pytest.raises(NotSolvable, match="overflow"):
        cholesky(torch.full((3, 3), torch.nan, dtype=torch.float64))


def test_the_estimated_diagonal_is_near_the_true_one() -> None:
    torch.manual_seed(0)
    factor = torch.eye(200, dtype=torch.float64) + 0.02 * torch.randn(200, 200, dtype=torch.float64)
    matrix = factor @ factor.T
    estimate = estimated_diagonal(lambda columns: matrix @ columns, 200)
    assert float(estimate.mean() / matrix.diagonal().mean()) == pytest.approx(1, abs=0.05)
    assert torch.equal(estimate, estimated_diagonal(lambda columns: matrix @ columns, 200))
