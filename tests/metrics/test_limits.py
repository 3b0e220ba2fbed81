"""The limits of a Jacobian in hand: numbers worked out by hand, their order, a linear model that meets the bound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench.metrics import limit_psnr, limit_psnr_dfil, limit_psnr_prior
from invbench.metrics._information import information_of


def limits(jacobian, std, covariance=None):
    covariance = np.eye(jacobian.shape[1]) if covariance is None else covariance
    information = information_of(jacobian, std**2, covariance)
    return [float(limit(information)[0]) for limit in (limit_psnr, limit_psnr_prior, limit_psnr_dfil)]


def test_limits_of_a_diagonal_jacobian_are_those_worked_out_by_hand():
    # 0.01 (1 + 1/4 + 1/16) / 3; (1/101 + 1/401 + 1/1601) / 3; 3 * 0.01 / 21
    assert limits(np.diag([1.0, 2.0, 4.0]), 0.1) == pytest.approx([23.590, 23.625, 28.451], abs=5e-4)


jacobians = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).normal(size=(9, 6)) * np.logspace(0, -3, 6)
)


@settings(max_examples=25, deadline=None)
@given(jacobian=jacobians, std=st.floats(1e-4, 10))
def test_a_limit_that_uses_less_is_never_below_and_ten_times_the_noise_costs_20_db(jacobian, std):
    unbiased, prior, dfil = limits(jacobian, std)
    assert dfil >= unbiased - 1e-9
    assert prior >= unbiased - 1e-9  # a prior adds information
    after = limits(jacobian, 10 * std)
    assert (unbiased - after[0], dfil - after[2]) == pytest.approx((20, 20), abs=1e-9)
    assert after[1] < prior


def test_a_direction_that_changes_nothing_leaves_the_prior_alone():
    jacobian = np.diag([1.0, 2.0, 0.0])
    unbiased, prior, dfil = limits(jacobian, 0.1)
    assert np.isnan(unbiased)
    assert prior == pytest.approx(-10 * np.log10((1 / 101 + 1 / 401 + 1) / 3))
    assert np.isfinite(dfil)


def test_the_posterior_mean_of_a_linear_model_meets_the_limit_and_least_squares_that_of_unbiased_attackers():
    drawn = np.random.default_rng(0)
    jacobian, std, trials = drawn.normal(size=(8, 5)), 0.7, 40_000
    root = np.tril(drawn.normal(size=(5, 5)))
    covariance = root @ root.T
    pictures = drawn.normal(size=(trials, 5)) @ root.T
    seen = pictures @ jacobian.T + std * drawn.normal(size=(trials, 8))
    posterior = seen @ np.linalg.solve(jacobian @ covariance @ jacobian.T + std**2 * np.eye(8), jacobian @ covariance)
    unbiased, prior, _ = limits(jacobian, std, covariance)
    for guess, limit in ((posterior, prior), (seen @ np.linalg.pinv(jacobian).T, unbiased)):
        measured = -10 * np.log10(np.square(guess - pictures).mean())
        assert measured == pytest.approx(limit, abs=0.05)  # the error of so many trials is 0.02
