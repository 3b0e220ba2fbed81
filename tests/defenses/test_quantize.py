"""Quantisation: few levels, exact zeros, half a step or no bias."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from drawn_updates import context, same_bits, updates
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from invbench.defenses.quantize import Quantize
from invbench.observation import Update

Rounding = Literal["stochastic", "nearest"]
widths = st.integers(2, 16)
roundings: st.SearchStrategy[Rounding] = st.sampled_from(["stochastic", "nearest"])
seeds = st.integers(0, 2**32)


def step(tensor: Tensor, bits: int) -> float:
    levels: int = 2 ** (bits - 1) - 1
    return float(tensor.abs().max()) / levels


def rounding_error(tensor: Tensor) -> float:
    """What the tensor's own type may add."""
    return float(tensor.abs().max()) * torch.finfo(tensor.dtype).eps


@given(update=updates(), bits=widths, rounding=roundings, seed=seeds)
@settings(deadline=None, max_examples=80)
def test_every_value_is_one_of_the_levels(update: Update, bits: int, rounding: Rounding, seed: int) -> None:
    shared = Quantize(bits=bits, rounding=rounding).update(update, context(seed))
    for after, before in zip(shared, update, strict=True):
        assert (after[before == 0] == 0).all()
        if before.any():
            levels = after.double() / step(before, bits)
            assert (levels - levels.round()).abs().max() <= 1e-6 * levels.abs().max()
            assert levels.round().abs().max() <= 2 ** (bits - 1) - 1
            assert (after * before >= 0).all()


@given(bits=st.integers(2, 8), rounding=roundings, seed=seeds)
@settings(deadline=None, max_examples=30)
def test_a_tensor_takes_exactly_two_to_the_bits_minus_one_values(bits: int, rounding: Rounding, seed: int) -> None:
    dense = (torch.linspace(-1, 1, 20_001),)
    (shared,) = Quantize(bits=bits, rounding=rounding).update(dense, context(seed))
    assert len(set(shared.tolist())) == 2**bits - 1


@given(update=updates(), bits=widths)
@settings(deadline=None, max_examples=60)
def test_nearest_is_at_most_half_a_step_away(update: Update, bits: int) -> None:
    for after, before in zip(Quantize(bits=bits, rounding="nearest").update(update, context(0)), update, strict=True):
        assert (after - before).abs().max() <= step(before, bits) / 2 + rounding_error(before)


@given(update=updates(), bits=widths, seed=seeds)
@settings(deadline=None, max_examples=60)
def test_stochastic_takes_one_of_the_two_neighbouring_levels(update: Update, bits: int, seed: int) -> None:
    for after, before in zip(Quantize(bits=bits).update(update, context(seed)), update, strict=True):
        assert (after - before).abs().max() <= step(before, bits) + rounding_error(before)


@given(value=st.floats(-1, 1), bits=st.integers(2, 6), seed=seeds)
@settings(deadline=None, max_examples=50)
def test_stochastic_rounding_is_unbiased(value: float, bits: int, seed: int) -> None:
    """Hoeffding at 1e-12: draws lie within one step, so |mean - value| <= step sqrt(ln(2e12) / 2n)."""
    n = 20_000
    tensor = torch.full((n + 1,), value, dtype=torch.float64)
    tensor[-1] = 1.0  # the largest, which sets the step
    (shared,) = Quantize(bits=bits).update((tensor,), context(seed))
    assert abs(float(shared[:-1].mean()) - value) <= step(tensor, bits) * math.sqrt(math.log(2e12) / (2 * n)) + 1e-12


def test_nearest_is_biased_where_stochastic_is_not() -> None:
    tensor = torch.full((1001,), 0.3)
    tensor[-1] = 1.0
    (nearest,) = Quantize(bits=2, rounding="nearest").update((tensor,), context(0))
    (stochastic,) = Quantize(bits=2).update((tensor,), context(0))
    assert nearest[:-1].abs().max() == 0
    assert set(stochastic[:-1].tolist()) == {0, 1}


@given(update=updates(), bits=widths, rounding=roundings, seed=seeds)
@settings(deadline=None, max_examples=40)
def test_the_largest_magnitude_stays_itself(update: Update, bits: int, rounding: Rounding, seed: int) -> None:
    shared = Quantize(bits=bits, rounding=rounding).update(update, context(seed))
    for after, before in zip(shared, update, strict=True):
        largest = before.abs() == before.abs().max()
        assert torch.equal(after[largest], before[largest])


def test_each_tensor_has_its_own_scale() -> None:
    small, large = torch.tensor([0.001, -0.0005, 0.0]), torch.tensor([100.0, -30.0])
    shared = Quantize(bits=8, rounding="nearest").update((small, large), context(0))
    assert same_bits((shared[0],), Quantize(bits=8, rounding="nearest").update((small,), context(0)))
    assert shared[0][0] == small[0]


def test_neighbouring_tensors_are_rounded_by_different_draws() -> None:
    tensor = torch.linspace(-1, 1, 500)
    first, second = Quantize(bits=3).update((tensor, tensor), context(0))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
def test_a_tensor_of_zeros_or_of_no_coordinates_passes_through(rounding: Rounding) -> None:
    update = (torch.zeros(3), torch.zeros(0, 2))
    assert same_bits(Quantize(bits=2, rounding=rounding).update(update, context(0)), update)
