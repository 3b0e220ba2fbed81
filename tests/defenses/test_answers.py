"""Defences of answers: rounded, the likeliest alone, the largest alone."""

from __future__ import annotations

import pytest
import torch
from drawn_updates import context
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from invbench.defenses.mask import Mask
from invbench.defenses.round import Round
from invbench.defenses.top_label import TopLabel


def answers(seed: int, classes: int = 6) -> Tensor:
    return torch.randn(5, classes, generator=torch.Generator().manual_seed(seed)).mul(2).softmax(dim=1)


@given(seed=st.integers(0, 1000), step=st.sampled_from([0.001, 0.05, 0.1, 0.3, 1.0]))
@settings(deadline=None, max_examples=30)
def test_a_rounded_confidence_is_the_nearest_multiple(seed: int, step: float) -> None:
    before = answers(seed)
    after = Round(step=step).answer(before, context(0))
    assert ((after / step) - (after / step).round()).abs().max() < 1e-4
    assert (after - before).abs().max() <= step / 2 + 1e-6


def test_rounding_to_a_twentieth_hides_what_is_below_a_fortieth() -> None:
    assert Round().answer(torch.tensor([[0.02, 0.03, 0.95]]), context(0)).tolist()[0] == pytest.approx([0, 0.05, 0.95])


def test_the_likeliest_class_alone_is_told_and_of_equal_ones_the_first() -> None:
    before = torch.tensor([[0.2, 0.7, 0.1], [0.4, 0.4, 0.2]])
    assert TopLabel().answer(before, context(0)).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_the_largest_are_told_as_they_are() -> None:
    before = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]])
    after = Mask(k=2).answer(before, context(0))
    torch.testing.assert_close(after, torch.tensor([[0, 0, 0.3, 0.4], [0.25, 0.25, 0, 0]]))
    assert torch.equal(Mask(k=9).answer(before, context(0)), before)


@pytest.mark.parametrize("defense", [Round(), TopLabel(), Mask(k=1)])
def test_the_likeliest_class_stays_the_likeliest(defense: Round | TopLabel | Mask) -> None:
    before = answers(3)
    assert torch.equal(defense.answer(before, context(0)).argmax(dim=1), before.argmax(dim=1))
    assert defense.stages() == ("answer",)
