"""Bytes of a round: those of messages that were sent, and the paper's expansion explained to the byte."""

from __future__ import annotations

from drawn_bytes import half_a_round, plan_of

from invbench.secure import Plan, field
from invbench.secure.client import ID
from invbench.secure.masks import KEY, TAG
from invbench.secure.ring import ring_bits
from invbench.secure.traffic import traffic


def test_the_sizes_are_those_of_messages_that_were_sent() -> None:
    half = half_a_round(plan_of(5, 4, length=1001))
    vectors = half.mask()
    answer = half.clients[0].unmask(half.server.masked(vectors))
    said = traffic(half.plan)
    assert said.keys_sent == len(half.keys[0])
    assert said.keys_received == len(half.plan.session) + sum(ID + len(half.keys[n]) for n in range(1, 5))
    assert said.shares_sent == sum(ID + len(half.sealed[n][0]) for n in range(1, 5))
    assert said.shares_received == sum(ID + len(text) for text in half.sealed[0].values())
    assert (said.vector_sent, said.answer_sent) == (len(vectors[0]), len(answer))


def test_the_expansion_of_the_paper_and_ours() -> None:
    """1,024 clients, 2^20 values of 16 bits: the ring alone is 1.625 times as long as they are, the paper has 1.73.

    The paper's is 2n keys and 5n - 4 shares of 32 bytes each beside the ring, and ours has as many. What it has more
    are a tag of 16 bytes on each pair of sealed shares, and 2 bytes that say whose or for whom a message is: 1.753.
    """
    n, m = 1024, 2**20
    plan = Plan(bytes(16), n, 683, m, ring_bits(n, 16))
    ours, plain = traffic(plan), 2 * m
    assert plan.width == 26
    assert ours.vector_sent / plain == 1.625
    paper = ours.vector_sent + 2 * n * KEY + (5 * n - 4) * field.BYTES
    assert round(paper / plain, 2) == 1.73
    every = ours.sent + ours.received
    assert round(every / plain, 3) == 1.753
    tags, numbers = 2 * (n - 1) * TAG, 3 * (n - 1) * ID
    assert every - paper == tags + numbers + n // 8 + len(plan.session)  # who is in the sum, and which round it is
