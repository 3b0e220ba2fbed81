"""Output perturbation and the functional mechanism: sensitivities that bound what one row moves, and their noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench.core.regression import Regression
from invbench.defenses import Context
from invbench.defenses import functional_mechanism as functional
from invbench.defenses import output_perturbation as output
from invbench.defenses.functional_mechanism import FunctionalMechanism
from invbench.defenses.output_perturbation import OutputPerturbation

NUMBERS = 3
REACH = 1.0 + NUMBERS


def regression(x: torch.Tensor, y: torch.Tensor, penalty: float = 2.0) -> Regression:
    return Regression(x.T @ x, x.T @ y, penalty, len(x), REACH, torch.zeros(x.shape[1], dtype=torch.float64))


def rows(rng: np.random.Generator, count: int, extreme: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    values = rng.choice([-1.0, 1.0], (count, NUMBERS + 1)) if extreme else rng.uniform(-1, 1, (count, NUMBERS + 1))
    x = torch.from_numpy(np.hstack([np.ones((count, 1)), values[:, :NUMBERS]]))
    return x, torch.from_numpy(values[:, NUMBERS])


def context(seed: int) -> Context:
    return Context(torch.Generator().manual_seed(seed))


@given(seed=st.integers(0, 2**32), penalty=st.floats(0.1, 100), extreme=st.booleans())
@settings(deadline=None, max_examples=60)
def test_one_row_moves_coefficients_and_objective_no_further_than_stated(
    seed: int, penalty: float, extreme: bool
) -> None:
    rng = np.random.default_rng(seed)
    x, y = rows(rng, 12, extreme)
    before = regression(x, y, penalty)
    x[:1], y[:1] = rows(rng, 1, extreme)
    after = regression(x, y, penalty)
    moved = float((before.coefficients - after.coefficients).norm())
    assert moved <= output.sensitivity(before) + 1e-9
    polynomial = (before.gram - after.gram).abs().sum() + 2 * (before.moment - after.moment).abs().sum()
    assert float(polynomial) <= functional.sensitivity(before) + 1e-9


def test_the_objective_s_sensitivity_is_reached() -> None:
    x = torch.ones(4, NUMBERS + 1, dtype=torch.float64)
    y = torch.ones(4, dtype=torch.float64)
    before = regression(x, y)
    x[0, 1:], y[0] = -1.0, -1.0
    after = regression(x, y)
    moved = float((before.gram - after.gram).abs().sum() + 2 * (before.moment - after.moment).abs().sum())
    assert 0.25 * functional.sensitivity(before) < moved <= functional.sensitivity(before)


def test_the_noise_on_coefficients_has_the_stated_norm() -> None:
    before = regression(*rows(np.random.default_rng(0), 50))
    norms = [float(OutputPerturbation(epsilon=2.0).regression(before, context(k)).noise.norm()) for k in range(400)]
    expected = (NUMBERS + 1) * output.sensitivity(before) / 2.0  # the mean of a gamma law of d exponentials
    assert np.mean(norms) == pytest.approx(expected, rel=0.1)


def test_the_noise_on_the_objective_has_the_stated_scale() -> None:
    before = regression(*rows(np.random.default_rng(0), 50))
    noise = [FunctionalMechanism(epsilon=2.0).regression(before, context(k)).moment - before.moment for k in range(400)]
    scale = functional.sensitivity(before) / 2.0
    assert float(torch.stack(noise).abs().mean()) == pytest.approx(scale / 2, rel=0.1)  # of -2 m_j the scale is whole


@pytest.mark.parametrize("kind", [OutputPerturbation, FunctionalMechanism])
def test_without_a_need_for_privacy_nothing_changes(kind: type[OutputPerturbation | FunctionalMechanism]) -> None:
    before = regression(*rows(np.random.default_rng(0), 50))
    after = kind(epsilon=1e9).regression(before, context(0))
    torch.testing.assert_close(after.coefficients, before.coefficients, rtol=1e-3, atol=1e-3)


def test_an_objective_without_a_minimum_is_trimmed_to_one() -> None:
    before = regression(*rows(np.random.default_rng(0), 5))
    for seed in range(20):
        after = FunctionalMechanism(epsilon=0.01).regression(before, context(seed))
        values = torch.linalg.eigvalsh(after.gram)
        assert float(values.min()) > -1e-6 * float(values.max())
        assert all(map(math.isfinite, after.coefficients.tolist()))
