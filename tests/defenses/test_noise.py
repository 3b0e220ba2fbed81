"""Gaussian and Laplace noise have the distribution that their names promise.

The bounds are six standard errors, or hold with probability 1 - 1e-12: a correct sampler fails less than
once in a hundred million drawn seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from drawn_updates import context, same_bits, updates
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from invbench.defenses.gaussian import Gaussian
from invbench.defenses.laplace import Laplace, standard_laplace
from invbench.observation import Update

N = 100_000
KURTOSIS = {Gaussian: 3.0, Laplace: 6.0}
Noise = type[Gaussian] | type[Laplace]


def noise_of(kind: Noise, std: float, seed: int, n: int = N) -> Tensor:
    (noise,) = kind(std=std).update((torch.zeros(n, dtype=torch.float64),), context(seed))
    return noise


def normal_cdf(x: Tensor) -> Tensor:
    return torch.erfc(-x / math.sqrt(2)) / 2


def laplace_cdf(x: Tensor) -> Tensor:
    """Of standard deviation 1, so of scale 1 / sqrt(2)."""
    tail = (-math.sqrt(2) * x.abs()).exp() / 2
    return torch.where(x < 0, tail, 1 - tail)


@pytest.mark.parametrize("kind", [Gaussian, Laplace])
@given(std=st.sampled_from([1e-4, 0.1, 3.0]), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=10)
def test_noise_has_its_mean_and_its_standard_deviation(kind: Noise, std: float, seed: int) -> None:
    noise = noise_of(kind, std, seed) / std
    error_of_variance = math.sqrt((KURTOSIS[kind] - 1) / N)
    assert abs(noise.mean()) < 6 / math.sqrt(N)
    assert abs(noise.square().mean() - 1) < 6 * error_of_variance


@pytest.mark.parametrize(("kind", "cdf"), [(Gaussian, normal_cdf), (Laplace, laplace_cdf)])
@given(seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=5)
def test_noise_follows_its_distribution_function(kind: Noise, cdf: Callable[[Tensor], Tensor], seed: int) -> None:
    """Dvoretzky-Kiefer-Wolfowitz: P(sup |F_n - F| > e) <= 2 exp(-2 n e^2)."""
    expected = cdf(noise_of(kind, 1.0, seed).sort().values)
    ranks = torch.arange(N + 1, dtype=torch.float64) / N
    distance = torch.maximum((ranks[1:] - expected).abs().max(), (ranks[:-1] - expected).abs().max())
    assert distance < math.sqrt(math.log(2 / 1e-12) / (2 * N))


def test_kurtosis_tells_laplace_from_gaussian() -> None:
    kurtosis = {kind: float((noise_of(kind, 0.1, 5) / 0.1).pow(4).mean()) for kind in (Gaussian, Laplace)}
    assert abs(kurtosis[Gaussian] - 3) < 0.2
    assert abs(kurtosis[Laplace] - 6) < 1.2


@pytest.mark.parametrize("kind", [Gaussian, Laplace])
def test_coordinates_are_independent_across_tensors_and_neighbours(kind: Noise) -> None:
    zeros = (torch.zeros(N // 2, dtype=torch.float64), torch.zeros(N // 2, dtype=torch.float64))
    first, second = kind(std=1.0).update(zeros, context(8))
    assert abs((first * second).mean()) < 6 / math.sqrt(N // 2)
    assert abs((first[1:] * first[:-1]).mean()) < 6 / math.sqrt(N // 2)


@given(uniform=st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=2))
@settings(deadline=None, max_examples=200)
def test_laplace_is_finite_whatever_the_generator_returns(uniform: list[float]) -> None:
    assert standard_laplace(torch.tensor(uniform, dtype=torch.float64)).isfinite()


@pytest.mark.parametrize("kind", [Gaussian, Laplace])
def test_how_the_update_is_cut_into_tensors_does_not_change_the_noise(kind: Noise) -> None:
    whole = kind(std=1.0).update((torch.zeros(60),), context(4))
    cut = kind(std=1.0).update((torch.zeros(7), torch.zeros(()), torch.zeros(4, 13)), context(4))
    assert torch.equal(torch.cat([t.reshape(-1) for t in cut]), whole[0])


@pytest.mark.parametrize("kind", [Gaussian, Laplace])
def test_the_type_of_the_update_does_not_change_the_noise(kind: Noise) -> None:
    (double,) = kind(std=1.0).update((torch.zeros(100, dtype=torch.float64),), context(4))
    (single,) = kind(std=1.0).update((torch.zeros(100),), context(4))
    assert torch.equal(double.float(), single)
    assert not torch.equal(double, single.double())  # drawn in full precision


@pytest.mark.parametrize("kind", [Gaussian, Laplace])
@given(update=updates())
@settings(deadline=None, max_examples=20)
def test_noise_is_added_to_the_update(kind: Noise, update: Update) -> None:
    shared = kind(std=1.0).update(update, context(9))
    alone = kind(std=1.0).update(tuple(torch.zeros_like(t) for t in update), context(9))
    torch.testing.assert_close(shared, tuple(t + n for t, n in zip(update, alone, strict=True)))
    assert not same_bits(kind(std=1.0).update(update, context(10)), shared)


@pytest.mark.parametrize("kind", [Gaussian, Laplace])
@given(update=updates())
@settings(deadline=None, max_examples=10)
def test_no_deviation_is_no_noise(kind: Noise, update: Update) -> None:
    for shared, given_ in zip(kind(std=0.0).update(update, context(9)), update, strict=True):
        assert torch.equal(shared, given_)
