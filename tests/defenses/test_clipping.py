"""Clipping bounds the norm, keeps the direction, and leaves alone what is short enough."""

from __future__ import annotations

import pytest
import torch
from drawn_updates import context, length, same_bits, seeded, updates, values
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from invbench.defenses import mean
from invbench.defenses.clip import Clip
from invbench.defenses.per_example_clip import PerExampleClip
from invbench.observation import Update

norms = st.floats(1e-3, 1e4)
ROUNDING = 1e-6  # of float32
SUBNORMAL = 1.2e-38  # below the smallest normal float32 digits are lost


@given(update=updates(), norm=norms)
@settings(deadline=None, max_examples=60)
def test_no_clipped_update_is_longer_than_the_norm(update: Update, norm: float) -> None:
    assert length(Clip(norm=norm).update(update, context(0))) <= norm * (1 + ROUNDING)


@given(update=updates(), share=st.floats(0.01, 0.99))
@settings(deadline=None, max_examples=60)
def test_a_long_update_ends_on_the_surface_in_its_own_direction(update: Update, share: float) -> None:
    before = length(update)
    assume(before > 1e-3)
    shared = values(Clip(norm=share * before).update(update, context(0)))
    torch.testing.assert_close(shared, values(update) * share, rtol=ROUNDING, atol=SUBNORMAL)


@given(update=updates(), slack=st.floats(1, 100))
@settings(deadline=None, max_examples=60)
def test_a_short_update_is_unchanged_bit_for_bit(update: Update, slack: float) -> None:
    norm = max(length(update) * slack * (1 + 1e-12), 1e-3)
    assert same_bits(Clip(norm=norm).update(update, context(0)), update)
    assert same_bits(PerExampleClip(norm=norm).per_example([update], context(0))[0], update)


def test_the_norm_is_of_all_tensors_together() -> None:
    shared = Clip(norm=1.0).update((torch.tensor([3.0]), torch.tensor([[4.0]])), context(0))
    torch.testing.assert_close(shared, (torch.tensor([0.6]), torch.tensor([[0.8]])))


@pytest.mark.parametrize("size", [1e30, 1e-30])
def test_squares_neither_overflow_nor_vanish(size: float) -> None:
    shared = Clip(norm=size).update((torch.tensor([3 * size, 4 * size]),), context(0))
    torch.testing.assert_close(shared[0], torch.tensor([0.6 * size, 0.8 * size]), rtol=ROUNDING, atol=0)


@given(examples=st.lists(updates(), min_size=1, max_size=5), norm=norms)
@settings(deadline=None, max_examples=30)
def test_every_example_is_clipped_by_its_own_norm(examples: list[Update], norm: float) -> None:
    shared = PerExampleClip(norm=norm).per_example(examples, context(0))
    assert len(shared) == len(examples)
    for after, before in zip(shared, examples, strict=True):
        assert same_bits(after, Clip(norm=norm).update(before, context(0)))


def test_clipping_examples_turns_the_average_where_clipping_the_whole_only_shortens_it() -> None:
    examples: list[Update] = [(torch.tensor([100.0, 0.0]),), (torch.tensor([0.0, 1.0]),)]
    whole = values(Clip(norm=1.0).update(mean(examples), context(0)))
    each = values(mean(PerExampleClip(norm=1.0).per_example(examples, context(0))))
    torch.testing.assert_close(each, torch.tensor([0.5, 0.5], dtype=torch.float64))
    assert whole[0] / whole[1] == pytest.approx(100)


def test_one_loud_example_moves_the_average_by_no_more_than_its_share() -> None:
    """DP-SGD's sensitivity: exchanging one of B examples moves the mean by at most 2 norm / B."""
    quiet: list[Update] = [(torch.randn(20, generator=seeded(i)),) for i in range(8)]
    loud: list[Update] = [(torch.full((20,), 1e6),), *quiet[1:]]
    clip = PerExampleClip(norm=0.5)
    one, other = (values(mean(clip.per_example(examples, context(0)))) for examples in (quiet, loud))
    assert (one - other).norm() <= 2 * 0.5 / 8 + ROUNDING
