"""Pruning keeps the same share of every tensor, and what was pruned lies within a bound that everybody sees."""

from __future__ import annotations

import torch
from defended_updates import AWARE, NAIVE, defended, read
from drawn_updates import context, same_bits, updates, values
from hypothesis import given, settings
from hypothesis import strategies as st
from made_updates import digits, victim

from invbench.defenses import Stack
from invbench.defenses.prune import Prune
from invbench.observation import Update


@given(update=updates(zeros=False), share=st.floats(0.01, 0.99))
@settings(deadline=None, max_examples=20)
def test_each_tensor_keeps_its_own_largest(update: Update, share: float) -> None:
    for before, after in zip(update, Prune(share=share).update(update, context(0)), strict=True):
        kept = after != 0
        assert int(kept.sum()) == max(1, before.numel() - round(share * before.numel()))
        assert torch.equal(after[kept], before[kept])
        if not kept.all():
            assert before[kept].abs().min() >= before[~kept].abs().max()


def test_a_layer_of_small_gradients_keeps_its_share() -> None:
    """Top-k at the same share would leave nothing of it."""
    small, large = torch.tensor([1.0, 2.0]), torch.tensor([[30.0, -40.0]])
    pruned = Prune(share=0.5).update((small, large), context(0))
    assert same_bits(pruned, (torch.tensor([0.0, 2.0]), torch.tensor([[0.0, -40.0]])))


@given(update=updates(), share=st.floats(0.01, 0.99))
@settings(deadline=None, max_examples=15)
def test_the_update_lies_within_the_interval_that_is_seen(update: Update, share: float) -> None:
    stack = Stack((Prune(share=share),))
    low, high = stack.interval(stack.at("update", update, context(0)))
    assert (values(low) <= values(update)).all()
    assert (values(update) <= values(high)).all()


def test_a_message_holds_what_was_kept_and_where() -> None:
    drawn = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    update = (drawn[:800].reshape(8, 100), drawn[800:])
    stack = Stack((Prune(share=0.99),))
    assert stack.message_bytes(stack.at("update", update, context(0))) == 10 * 4 + 13


def test_who_knows_the_bound_reads_more() -> None:
    images, labels = digits(1)
    seen = defended(victim(images), images, labels, [("prune", {"share": 0.95})])
    assert read(AWARE, seen, images) > read(NAIVE, seen, images) + 1.5
