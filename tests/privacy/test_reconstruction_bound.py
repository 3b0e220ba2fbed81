"""The bound on reconstruction: the paper's closed form, and the draws where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from invbench.privacy import Steps
from invbench.privacy.reconstruction import reconstruction_bound


@pytest.mark.parametrize(
    ("noise", "wanted"), [(75, 0.154573), (27, 0.217702), (9.5, 0.461078), (5, 0.802240), (2, 0.999941)]
)
def test_where_every_step_sees_the_record_the_bound_is_exact(noise: float, wanted: float) -> None:
    found = reconstruction_bound(1 / 8, Steps(noise, 1.0, 100))
    assert found.value == pytest.approx(wanted, abs=1e-6)
    assert found.low == found.high == found.value


def test_one_sampled_step_agrees_with_the_exact_tail() -> None:
    """One step: E = {x > t}, Q(E) = kappa, P(E) = (1 - q) kappa + q Phi(Phi^-1(kappa) + 1 / s)."""
    found = reconstruction_bound(0.1, Steps(0.5, 0.3, 1))
    exact = 0.7 * 0.1 + 0.3 * ndtr(ndtri(0.1) + 1 / 0.5)
    assert found.low <= exact <= found.high
    assert found.high - found.low < 0.04
    assert found.value == pytest.approx(exact, abs=0.015)


def test_sampling_makes_reconstruction_harder_and_no_bound_is_below_the_prior() -> None:
    whole = reconstruction_bound(1 / 8, Steps(9.5, 1.0, 100)).value
    half = reconstruction_bound(1 / 8, Steps(9.5, 0.5, 100))
    few = reconstruction_bound(1 / 8, Steps(9.5, 0.01, 100))
    assert 1 / 8 <= few.value < half.value < whole
    # q = 1/2: nearly one Gaussian mechanism of distance sqrt(T) q / s, as many steps are.
    assert half.value == pytest.approx(float(ndtr(ndtri(1 / 8) + 5 / 9.5)), abs=0.02)
    assert reconstruction_bound(1 / 8, Steps(9.5, 0.5, 100)) == half, "the same draws each time"


def test_a_prior_that_is_certain_has_no_bound() -> None:
    with pytest.raises(ValueError, match="kappa must be above 0 and below 1"):
        reconstruction_bound(1.0, Steps(1.0))
    assert np.isfinite(reconstruction_bound(1e-6, Steps(1.0, 0.5, 2)).high)
