"""Gauss-Newton on the whole likelihood: downhill in the posterior, and as near the truth as any estimate can be."""

from __future__ import annotations

import math

import torch
from small_chains import LABEL, Known, known
from torch import Tensor

from invbench.peeling.refine import Refined, refine
from invbench.peeling.sensitivity import information, weighted_residual


def noisy(one: Known, std: float, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The picture's gradient under noise, and its variances."""
    stream = torch.Generator().manual_seed(seed)
    exact = one.gradient(one.picture)
    seen = {k: t + std * torch.randn(t.shape, generator=stream, dtype=t.dtype) for k, t in exact.items()}
    return seen, {k: torch.full_like(t, std**2) for k, t in exact.items()}


def refined(one: Known, std: float, *, seed: int = 0, steps: int = 12, off: float = 0.05) -> Refined:
    seen, variances = noisy(one, std, seed)
    start = one.picture + off * torch.randn(one.picture.shape, generator=torch.Generator().manual_seed(9))
    unit = torch.eye(one.picture.numel(), dtype=torch.float64)
    return refine(one.chain, start, LABEL, seen, variances, unit, steps=steps)


def test_it_lowers_the_posterior_s_objective() -> None:
    one = known("lenet")
    seen, variances = noisy(one, 1e-3, 0)
    unit = torch.eye(one.picture.numel(), dtype=torch.float64)
    start = one.picture + 0.3 * torch.randn(one.picture.shape, generator=torch.Generator().manual_seed(9))

    def objective(picture: Tensor) -> float:
        return weighted_residual(one.chain, picture, LABEL, seen, variances) + float(picture.square().sum())

    heights = [objective(start)]
    for steps in (1, 2, 4):
        found = refine(one.chain, start, LABEL, seen, variances, unit, steps=steps)
        heights.append(objective(found.picture))
        assert found.steps <= steps
        assert found.evaluations >= found.steps
    assert heights[0] > heights[1] > heights[2] >= heights[3]


def test_under_gaussian_noise_its_error_is_the_cramer_rao_value() -> None:
    one = known("lenet")
    seen, variances = noisy(one, 1e-4, 0)
    fisher = information(one.chain, one.picture, LABEL, seen, variances).matrix
    unit = torch.eye(len(fisher), dtype=torch.float64)
    least = float(torch.linalg.inv(fisher + unit).diagonal().mean())
    errors = [float((refined(one, 1e-4, seed=seed).picture - one.picture).square().mean()) for seed in range(4)]
    assert abs(10 * math.log10(sum(errors) / 4 / least)) < 1


def test_the_variance_it_states_is_the_error_it_makes() -> None:
    one = known("lenet")
    found = [refined(one, 1e-4, seed=seed) for seed in range(4)]
    error = sum(float((r.picture - one.picture).square().mean()) for r in found)
    stated = sum(float(r.variance.mean()) for r in found)
    assert abs(10 * math.log10(error / stated)) < 1.5


def test_its_rank_counts_the_directions_that_the_update_tells() -> None:
    assert refined(known("linear"), 1e-4).rank == 25
    one = known("lenet")
    seen, variances = noisy(one, 1e-4, 0)
    unit = torch.eye(one.picture.numel(), dtype=torch.float64)
    silent = {k: t if k.startswith("7.") else torch.full_like(t, torch.inf) for k, t in variances.items()}
    few = refine(one.chain, one.picture, LABEL, seen, silent, unit, steps=2)  # the classifier's gradient alone
    assert 0 < few.rank <= 12 * 2 * 2 + 10  # as many as its input has values


def test_the_input_is_left_as_it_was_and_the_answer_is_the_same_twice() -> None:
    one = known("linear")
    before = one.picture.clone()
    first, again = refined(one, 1e-3), refined(one, 1e-3)
    assert torch.equal(one.picture, before)
    assert torch.equal(first.picture, again.picture)
    assert torch.equal(first.variance, again.variance)
