"""Top-k and random-k share exactly k coordinates of the whole update."""

from __future__ import annotations

import math

import pytest
import torch
from drawn_updates import context, same_bits, updates, values
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench.defenses.random_k import RandomK
from invbench.defenses.top_k import TopK
from invbench.observation import Update

fractions = st.floats(1e-6, 1, exclude_min=True)


def k_of(update: Update, fraction: float) -> int:
    return max(1, round(fraction * values(update).numel()))


@given(update=updates(zeros=False), fraction=fractions)
@settings(deadline=None, max_examples=80)
def test_top_k_shares_exactly_the_k_largest(update: Update, fraction: float) -> None:
    shared, before = values(TopK(fraction=fraction).update(update, context(0))), values(update)
    kept = shared != 0
    assert int(kept.sum()) == k_of(update, fraction)
    assert torch.equal(shared[kept], before[kept])
    if not kept.all():
        assert before[kept].abs().min() >= before[~kept].abs().max()


@given(n=st.integers(2, 300), k=st.integers(1, 300))
@settings(deadline=None, max_examples=40)
def test_of_equals_top_k_keeps_the_earlier(n: int, k: int) -> None:
    k = min(k, n)
    signs = 1 - 2 * (torch.arange(n) % 2)  # equal in magnitude, not in sign
    (shared,) = TopK(fraction=k / n).update((signs.float(),), context(0))
    assert torch.equal(shared != 0, torch.arange(n) < k)


def test_top_k_competes_across_tensors_not_within_them() -> None:
    small, large = torch.tensor([1.0, 2.0]), torch.tensor([[30.0, -40.0]])
    shared = TopK(fraction=0.5).update((small, large), context(0))
    assert same_bits(shared, (torch.zeros(2), large))


@given(update=updates(zeros=False), fraction=fractions, seed=st.integers(0, 2**32), rescale=st.booleans())
@settings(deadline=None, max_examples=80)
def test_random_k_shares_exactly_k_coordinates(update: Update, fraction: float, seed: int, rescale: bool) -> None:
    shared = values(RandomK(fraction=fraction, rescale=rescale).update(update, context(seed)))
    kept, k = shared != 0, k_of(update, fraction)
    assert int(kept.sum()) == k
    factor = shared.numel() / k if rescale else 1.0
    torch.testing.assert_close(shared[kept], values(update)[kept] * factor, rtol=1e-6, atol=0)


@pytest.mark.parametrize("rescale", [True, False])
def test_random_k_is_unbiased_when_rescaled_and_shrunk_by_k_over_n_when_not(rescale: bool) -> None:
    """Each coordinate is kept with probability k/n; Hoeffding at 1e-12 over its 0/1 draws."""
    n, k, draws = 20, 5, 4000
    update = (torch.arange(1.0, n + 1, dtype=torch.float64),)
    defense, generator = RandomK(fraction=k / n, rescale=rescale), context(1)
    average = torch.stack([defense.update(update, generator)[0] for _ in range(draws)]).mean(dim=0)
    relative = average / update[0] * (1 if rescale else n / k)
    assert (relative - 1).abs().max() < n / k * math.sqrt(math.log(2 * n / 1e-12) / (2 * draws))


def test_random_k_draws_pairs_as_often_as_chance_does() -> None:
    """Not neighbours together: of k = 2 from n = 10, each of the 45 pairs comes 1/45 of the time."""
    draws, defense, generator = 4500, RandomK(fraction=0.2), context(2)
    ones = (torch.ones(10),)
    kept = torch.stack([defense.update(ones, generator)[0] for _ in range(draws)])
    together = (kept.T @ kept).triu(diagonal=1)
    counts = together[together > 0]
    assert counts.numel() == 45
    chi_square = float(((counts - 100) ** 2 / 100).sum())
    assert chi_square < 120  # 44 degrees of freedom: exceeded once in 1e8


@pytest.mark.parametrize("kind", [TopK, RandomK])
def test_a_vanishing_fraction_still_shares_one_coordinate(kind: type[TopK] | type[RandomK]) -> None:
    (shared,) = kind(fraction=1e-9).update((torch.ones(100),), context(0))
    assert int((shared != 0).sum()) == 1


@pytest.mark.parametrize("kind", [TopK, RandomK])
@given(update=updates())
@settings(deadline=None, max_examples=20)
def test_all_coordinates_are_the_update_itself(kind: type[TopK] | type[RandomK], update: Update) -> None:
    assert same_bits(kind(fraction=1.0).update(update, context(0)), update)


@given(update=updates(zeros=False), fraction=st.floats(0.05, 1), rounds=st.integers(0, 6))
@settings(deadline=None, max_examples=15)
def test_what_error_feedback_sends_and_remembers_is_all_that_was_computed(
    update: Update, fraction: float, rounds: int
) -> None:
    """Algorithm 1, round by round: nothing is lost, and the last round's message is the defence's."""
    memory, sent = torch.zeros_like(values(update)), torch.zeros_like(values(update))
    double = tuple(t.double() for t in update)
    for _ in range(rounds + 1):
        memory = memory + values(update)
        last = torch.zeros_like(memory)
        kept = memory.abs().argsort(descending=True, stable=True)[: k_of(update, fraction)]
        last[kept], memory[kept] = memory[kept], 0
        sent = sent + last
    torch.testing.assert_close(sent + memory, (rounds + 1) * values(update))
    defense = TopK(fraction=fraction, feedback_rounds=rounds)
    shared = defense.update(double, context(0))
    torch.testing.assert_close(values(shared).abs().sum(), last.abs().sum())
    low, high = defense.interval(shared, shared, shared)
    inside = (values(low) <= values(update) + 1e-9) & (values(update) - 1e-9 <= values(high))
    assert inside.all()


def test_with_time_every_coordinate_is_sent() -> None:
    update = (torch.tensor([8.0, -4.0, 2.0, 1.0]),)
    rounds = [TopK(fraction=0.25, feedback_rounds=k).update(update, context(0))[0] for k in range(20)]
    assert torch.stack(rounds).any(dim=0).all()
    assert torch.equal(rounds[0], torch.tensor([8.0, 0.0, 0.0, 0.0]))
    assert torch.equal(
        rounds[2], torch.tensor([0.0, -12.0, 0.0, 0.0])
    )  # 8 + 8 was sent, then 3 times -4 is larger than 8


def test_attackers_expect_what_waited_as_often_as_it_did() -> None:
    update = (torch.randn(200, generator=torch.Generator().manual_seed(0), dtype=torch.float64),)
    defense = TopK(fraction=0.1, feedback_rounds=5)
    seen = defense.update(update, context(0))
    expected, variance = defense.seen_as(update, (torch.full((200,), 1e-6),), seen)
    kept = seen[0] != 0
    torch.testing.assert_close(expected[0][kept], seen[0][kept])
    waited = (seen[0] / update[0])[kept]
    torch.testing.assert_close(variance[0][kept].double(), 1e-6 * waited.square(), rtol=1e-4, atol=0)
    assert waited.max() > 1.5
