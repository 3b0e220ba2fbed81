"""The sum that the protocol gives is the plain one of those who sent their vectors, whoever drops out and when."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from drawn_bytes import drawing, half_a_round, plan_of, vectors_of
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench.secure import Plan, Refused
from invbench.secure.ring import unpack, wrap
from invbench.secure.session import STEPS, aggregate

STAYS = "stays"


def check(plan: Plan, drops: dict[int, str]) -> None:
    """The sum of the ring, or a refusal exactly where fewer than the threshold are left at some step."""
    vectors = vectors_of(plan)
    left = min((plan.clients - sum(STEPS.index(drops[n]) <= STEPS.index(step) for n in drops)) for step in STEPS)
    if left < plan.threshold:
        with pytest.raises(Refused, match="below the threshold"):
            aggregate(plan, vectors, drawing(1), drops)
        return
    total, survivors = aggregate(plan, vectors, drawing(1), drops)
    assert survivors == {n for n in range(plan.clients) if drops.get(n) in (None, "answer")}
    assert np.array_equal(total, wrap(sum((vectors[n] for n in survivors), np.zeros(9, np.uint64)), plan.width))


@pytest.mark.parametrize(("clients", "threshold"), [(1, 1), (2, 1), (2, 2), (3, 2)])
def test_every_pattern_of_dropping_out_of_small_groups(clients: int, threshold: int) -> None:
    for steps in product((STAYS, *STEPS), repeat=clients):
        check(plan_of(clients, threshold), {n: step for n, step in enumerate(steps) if step != STAYS})


@given(st.integers(4, 8), st.data())
@settings(deadline=None, max_examples=15)
def test_drawn_patterns_of_larger_groups(clients: int, data: st.DataObject) -> None:
    threshold = data.draw(st.integers(1, clients))
    drops = data.draw(st.dictionaries(st.integers(0, clients - 1), st.sampled_from(STEPS), max_size=clients // 2))
    check(plan_of(clients, threshold), drops)


@pytest.mark.parametrize("clients", [16, 64])
def test_a_third_of_many_clients_may_drop_out(clients: int) -> None:
    check(plan_of(clients, -(-2 * clients // 3)), dict.fromkeys(range(clients // 3), "vector"))


def test_a_masked_vector_is_not_the_vector_and_the_masks_of_two_rounds_differ() -> None:
    plan = plan_of(3, 2, length=1000)
    one, other = half_a_round(plan).mask(), half_a_round(plan_of(3, 2, 1000, b"another round of it")).mask()
    words = [unpack(message[0], 1000, plan.width) for message in (one, other)]
    assert not np.array_equal(*words)
    assert abs(words[0].mean() / 2**plan.width - 0.5) < 0.05  # uniform: three bits of a mean of a thousand


def test_a_threshold_above_the_clients_is_refused() -> None:
    with pytest.raises(Refused, match="from 1 to the 3 clients, not 4"):
        plan_of(3, 4)
