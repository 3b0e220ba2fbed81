"""signSGD shares signs and nothing of the size."""

from __future__ import annotations

import torch
from drawn_updates import context, same_bits, updates, values
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench.defenses.sign import Sign
from invbench.observation import Update


@given(update=updates())
@settings(deadline=None, max_examples=40)
def test_every_coordinate_becomes_its_sign(update: Update) -> None:
    before, shared = values(update), values(Sign().update(update, context(0)))
    assert torch.equal(shared, (before > 0).double() - (before < 0).double())


@given(update=updates(), factor=st.floats(0.01, 100))
@settings(deadline=None, max_examples=20)
def test_the_size_of_the_update_is_gone(update: Update, factor: float) -> None:
    scaled = tuple(t * factor for t in update)
    if torch.equal(values(scaled) == 0, values(update) == 0):  # nothing underflowed
        assert all(
            torch.equal(a, b)
            for a, b in zip(Sign().update(scaled, context(0)), Sign().update(update, context(0)), strict=True)
        )


def test_a_zero_stays_zero() -> None:
    assert same_bits(Sign().update((torch.tensor([0.0, -2.0, 5.0]),), context(0)), (torch.tensor([0.0, -1.0, 1.0]),))
