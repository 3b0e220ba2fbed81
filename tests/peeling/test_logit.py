"""The logit behind a gradient of the logistic loss: each root, and where there are two or none."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from invbench.observation import Failed
from invbench.peeling.logit import LOWEST, error_signal, roots


def product(u: float) -> float:
    return -u / (1 + math.exp(u))


def test_the_logistic_loss_of_a_logit_against_its_label_has_one_root() -> None:
    for u in (-30.0, -2.5, -0.01, 0.0):
        assert roots(product(u)) == (pytest.approx(u, abs=1e-12),)


@given(u=st.floats(0.001, 30))
def test_where_it_agrees_with_its_label_there_are_two_and_both_are_found(u: float) -> None:
    small, large = roots(product(u))
    assert small <= LOWEST <= large
    near = small if u < LOWEST else large
    assert near == pytest.approx(u, rel=1e-12, abs=1e-7 if abs(u - LOWEST) < 0.1 else 1e-12)  # the slope is zero there
    assert product(small) == pytest.approx(product(large), rel=1e-12)


def test_below_the_least_value_no_logit_has_such_a_gradient() -> None:
    assert product(LOWEST) == pytest.approx(1 - LOWEST, abs=1e-15)
    assert roots(1 - LOWEST - 1e-9)[0] == pytest.approx(LOWEST, abs=1e-3)  # by rounding
    with pytest.raises(Failed, match="no logit has this gradient"):
        roots(-0.28)


@pytest.mark.parametrize("label", [0, 1])
def test_the_error_signal_is_the_losss_derivative(label: int) -> None:
    logit = torch.tensor([0.7], dtype=torch.float64, requires_grad=True)
    functional.cross_entropy(torch.cat([torch.zeros_like(logit), logit])[None], torch.tensor([label])).backward()
    assert logit.grad is not None
    assert error_signal((2 * label - 1) * 0.7, label) == pytest.approx(float(logit.grad), abs=1e-15)
