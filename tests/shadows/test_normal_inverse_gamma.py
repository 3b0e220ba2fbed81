"""Normal data in many small groups: closed forms against sums over a grid and scipy, a prior against the one drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats  # type: ignore[import-untyped]
from torch import Tensor

from invbench.shadows.normal_inverse_gamma import Groups, Prior, StudentT, fitted

PRIOR = (0.5, 0.8, 5.0, 2.0)


def prior(*numbers: float) -> Prior:
    return Prior(*(torch.tensor(one, dtype=torch.float64) for one in numbers))


def whole(values: Tensor) -> Groups:
    return Groups.of(values.double(), torch.ones_like(values, dtype=torch.bool))


def drawn(count: int, each: int, mean: float, strength: float, freedom: float, variance: float) -> Tensor:
    stream = np.random.default_rng(0)
    own = freedom * variance / stream.chisquare(freedom, count)
    centre = stream.normal(mean, np.sqrt(own / strength))
    return torch.from_numpy(stream.normal(centre, np.sqrt(own), (each, count)))


def test_what_is_kept_of_a_group_is_of_its_own_values_alone() -> None:
    values, group = torch.tensor([[1.0, 9.0], [3.0, 2.0], [9.0, 4.0]]), torch.tensor([[1, 0], [1, 1], [0, 1]]).bool()
    found = Groups.of(values.double(), group)
    assert [found.count.tolist(), found.mean.tolist(), found.squares.tolist()] == [[2, 2], [2, 3], [2, 2]]


def test_the_marginal_likelihood_is_the_integral_over_mean_and_variance() -> None:
    values, (mean, strength, freedom, variance) = [1.0, 2.5, 0.2], PRIOR

    centre, step = np.linspace(-40, 40, 4001, retstep=True)
    log_variance, log_step = np.linspace(-8, 8, 801, retstep=True)
    own = np.exp(log_variance)[:, None]
    density = stats.invgamma.pdf(own, freedom / 2, scale=freedom * variance / 2) * own
    density = density * stats.norm.pdf(centre, mean, np.sqrt(own / strength))
    for value in values:
        density = density * stats.norm.pdf(value, centre, np.sqrt(own))
    found = prior(*PRIOR).log_marginal(whole(torch.tensor(values)[:, None]))
    assert float(found) == pytest.approx(math.log(density.sum() * step * log_step), abs=1e-3)


def test_what_is_predicted_is_the_ratio_of_two_marginal_likelihoods() -> None:
    values, more = torch.tensor([[1.0], [2.5], [0.2]]), torch.tensor([[1.7]])
    before, after = (prior(*PRIOR).log_marginal(whole(one)) for one in (values, torch.cat([values, more])))
    predicted = prior(*PRIOR).predictive(whole(values)).log_density(more[0].double())
    assert float(predicted) == pytest.approx(float(after - before), abs=1e-9)


def test_student_s_density_is_scipy_s() -> None:
    freedom, centre, scale = (torch.tensor([one], dtype=torch.float64) for one in (4.5, 1.0, 0.3))
    found = StudentT(freedom, centre, scale).log_density(torch.tensor([2.0], dtype=torch.float64))
    assert float(found) == pytest.approx(stats.t.logpdf(2.0, 4.5, 1.0, 0.3))


def test_the_prior_that_groups_were_drawn_from_is_found_again() -> None:
    found = fitted(whole(drawn(6000, 4, 1.0, 0.25, 6.0, 2.0)))
    assert float(found.mean) == pytest.approx(1.0, abs=0.1)
    assert float(found.strength) == pytest.approx(0.25, rel=0.1)
    assert float(found.freedom) == pytest.approx(6.0, rel=0.2)
    assert float(found.variance) == pytest.approx(2.0, rel=0.1)


def test_no_prior_near_the_fitted_one_is_likelier() -> None:
    groups = whole(drawn(500, 2, -3.0, 0.1, 4.0, 0.5))
    found = fitted(groups)
    best = float(found.log_marginal(groups).mean())
    for place in range(4):
        for factor in (0.9, 1.1):
            numbers = [float(one) for one in (found.mean, found.strength, found.freedom, found.variance)]
            numbers[place] *= factor
            assert float(prior(*numbers).log_marginal(groups).mean()) < best


@pytest.mark.parametrize("values", [torch.zeros(3, 50), torch.zeros(1, 50), torch.full((2, 50), 700.0)])
def test_groups_without_spread_have_a_finite_prior(values: Tensor) -> None:
    predicted = fitted(whole(values)).predictive(whole(values))
    assert predicted.log_density(values[0].double()).isfinite().all()


def test_where_variances_are_equal_the_prior_is_as_strong_as_it_may_be() -> None:
    stream = torch.Generator().manual_seed(0)
    found = fitted(whole(torch.randn(6, 3000, generator=stream)))
    assert float(found.freedom) > 100
    assert float(found.variance) == pytest.approx(1.0, rel=0.05)
