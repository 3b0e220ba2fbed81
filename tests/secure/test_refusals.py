"""What a client and a server refuse: to hand out both shares of a peer, and what was changed, cut or sent before."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_bytes import Half, half_a_round, plan_of, vectors_of

from invbench.secure import Refused, field
from invbench.secure.client import Client


@pytest.fixture
def half() -> Half:
    return half_a_round(plan_of(4, 3))


def test_a_client_never_hands_out_both_shares_of_a_peer(half: Half) -> None:
    half.mask()
    asked = half.clients[0]
    answer = asked.unmask(frozenset({0, 1, 2}))  # client 3 is said to have dropped out
    assert len(answer) == 4 * field.BYTES
    for survivors in ({0, 1, 2, 3}, {0, 1, 2}):
        with pytest.raises(Refused, match="once"):
            asked.unmask(frozenset(survivors))


def test_a_server_that_lies_to_half_of_the_clients_opens_no_vector(half: Half) -> None:
    """Half of them are told that client 3 dropped out: neither of its secrets gets as many shares as the threshold."""
    survivors = half.server.masked(half.mask())
    told = {n: half.clients[n].unmask(survivors - {3} if n < 2 else survivors) for n in range(4)}
    with pytest.raises(Refused):
        half.server.total(told)


@pytest.mark.parametrize("survivors", [{0, 1}, {1, 2, 3}, {0, 1, 2, 7}])
def test_no_shares_for_too_few_or_for_others_than_those_who_take_part(half: Half, survivors: set[int]) -> None:
    half.mask()
    with pytest.raises(Refused, match=r"threshold|others"):
        half.clients[0].unmask(frozenset(survivors))


def test_no_shares_before_the_vector_and_no_second_vector(half: Half) -> None:
    with pytest.raises(Refused, match="after its vector"):
        half.clients[0].unmask(frozenset({0, 1, 2}))
    half.mask()
    with pytest.raises(Refused, match="sent its vector already"):
        half.clients[0].masked(half.sealed[0], vectors_of(half.plan)[0])
    with pytest.raises(Refused, match="sent its shares already"):
        half.clients[0].share(half.keys)


@pytest.mark.parametrize("fault", ["changed", "cut", "empty", "of another sender", "for another client", "replayed"])
def test_sealed_shares_that_are_not_as_they_were_sent_are_refused(half: Half, fault: str) -> None:
    earlier = half_a_round(plan_of(4, 3, session=b"the round before"))
    right = half.sealed[0][1]
    half.sealed[0][1] = {
        "changed": bytes([right[0] ^ 1]) + right[1:],
        "cut": right[:-1],
        "empty": b"",
        "of another sender": half.sealed[0][2],
        "for another client": half.sealed[2][1],
        "replayed": earlier.sealed[0][1],
    }[fault]
    with pytest.raises(Refused, match="client 0: shares of client 1: a sealed message was changed"):
        half.mask()


def test_keys_that_are_too_few_cut_doubled_or_not_the_clients_own_are_refused() -> None:
    plan = plan_of(3, 3)
    clients = [Client(number, plan, np.random.default_rng(number).bytes) for number in range(3)]
    keys = {one.number: one.advertise() for one in clients}
    for wrong, why in (
        ({0: keys[0], 1: keys[1]}, "below the threshold"),
        (keys | {1: keys[1][:-1]}, "cut"),
        (keys | {1: keys[2]}, "two clients share"),
        (keys | {0: keys[1], 1: keys[0]}, "its own keys"),
    ):
        with pytest.raises(Refused, match=why):
            clients[0].share(wrong)
    with pytest.raises(Refused, match="not a public key"):
        clients[0].share(keys | {1: bytes(64)})  # of small order: everybody would know the key


@pytest.mark.parametrize(
    ("fault", "why"), [("changed", "contradict"), ("cut", "share for each"), ("few", "below the threshold")]
)
def test_answers_that_are_changed_cut_or_too_few_are_refused(half: Half, fault: str, why: str) -> None:
    survivors = half.server.masked(half.mask())
    answers = {one.number: one.unmask(survivors) for one in half.clients}
    if fault == "few":
        answers = {n: answers[n] for n in (0, 1)}
    else:
        answers[2] = answers[2][:-1] if fault == "cut" else bytes([answers[2][0] ^ 1]) + answers[2][1:]
    with pytest.raises(Refused, match=why):
        half.server.total(answers)


def test_a_wrong_share_of_a_private_key_is_noticed_by_its_public_one(half: Half) -> None:
    vectors = half.mask()
    survivors = half.server.masked({n: vectors[n] for n in (0, 1, 2)})
    answers = {n: half.clients[n].unmask(survivors) for n in (0, 1, 2)}  # no more than the threshold
    place = 3 * field.BYTES + 9  # X25519 does not read its lowest three bits
    answers[1] = answers[1][:place] + bytes([answers[1][place] ^ 1]) + answers[1][place + 1 :]
    with pytest.raises(Refused, match="client 3's private key"):
        half.server.total(answers)


def test_vectors_of_strangers_and_of_another_length_are_refused(half: Half) -> None:
    vectors = half.mask()
    with pytest.raises(Refused, match="sent no shares"):
        half.server.masked(vectors | {9: vectors[0]})
    with pytest.raises(Refused, match="words of"):
        half.server.masked(vectors | {1: vectors[1][:-1]})
