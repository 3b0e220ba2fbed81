"""The server of the protocol: it passes messages on, and learns the sum of the vectors that it got."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from invbench.secure import Plan, Refused, field
from invbench.secure.client import pair_mask
from invbench.secure.masks import KEY, mask, public_key
from invbench.secure.ring import Words, unpack, wrap


class Server:
    """One round's. It holds what clients sent in the open: their public keys and their masked vectors."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._keys: dict[int, bytes] = {}
        self._sharing: frozenset[int] = frozenset()
        self._vectors: dict[int, Words] = {}

    def advertised(self, keys: Mapping[int, bytes]) -> Mapping[int, bytes]:
        """Every client's public keys, for all of them."""
        self._enough(len(keys), "keys")
        self._keys = dict(keys)
        return keys

    def shared(self, shares: Mapping[int, Mapping[int, bytes]]) -> dict[int, dict[int, bytes]]:
        """The sealed shares by whom they are for, of those by whom they are from; both sent theirs."""
        self._enough(len(shares), "shares")
        self._sharing = frozenset(shares)
        return {to: {peer: sent[to] for peer, sent in shares.items() if peer != to} for to in shares}

    def masked(self, messages: Mapping[int, bytes]) -> frozenset[int]:
        """Whose vectors are in the sum, for all of them."""
        self._enough(len(messages), "vectors")
        if not messages.keys() <= self._sharing:
            raise Refused("a vector of a client that has sent no shares")
        self._vectors = {peer: unpack(text, self.plan.length, self.plan.width) for peer, text in messages.items()}
        return frozenset(messages)

    def total(self, answers: Mapping[int, bytes]) -> Words:
        """The sum of the vectors in the ring, from clients' shares of what hides it (`Client.unmask`).

        Refused where an answer is cut, too few came, a private key is none, or the shares of more clients than are
        needed contradict each other. One wrong share of a seed among just enough of them is not noticed.
        """
        self._enough(len(answers), "answers")
        sharing, plan = sorted(self._sharing), self.plan
        if odd := [peer for peer, text in answers.items() if len(text) != field.BYTES * len(sharing)]:
            raise Refused(f"the answer of client {odd[0]} is not a share for each of {len(sharing)} clients")
        total = sum(self._vectors.values(), np.zeros(plan.length, dtype=np.uint64))
        for peer, secret in zip(sharing, self._secrets(answers), strict=True):
            if peer in self._vectors:
                total = total - mask(secret, plan.length, plan.width)
                continue
            if public_key(secret) != self._keys[peer][KEY:]:
                raise Refused(f"the shares of client {peer}'s private key are not of that key")
            for one in self._vectors:
                total = total - pair_mask(plan, one, peer, secret, self._keys[one][KEY:])
        return wrap(total, plan.width)

    def _secrets(self, answers: Mapping[int, bytes]) -> list[bytes]:
        """What the shares are of, in order of the clients whose secrets they are."""
        ordered = sorted(answers)
        found = [_opened(answers, some) for some in (ordered[: self.plan.threshold], ordered[-self.plan.threshold :])]
        if found[0] != found[1]:
            raise Refused("the shares of different clients contradict each other")
        return found[0]

    def _enough(self, there: int, what: str) -> None:
        if there < self.plan.threshold:
            raise Refused(f"{what} of {there} clients came, below the threshold {self.plan.threshold}")


def _opened(answers: Mapping[int, bytes], from_whom: list[int]) -> list[bytes]:
    by = field.weights([peer + 1 for peer in from_whom])
    starts = range(0, len(answers[from_whom[0]]), field.BYTES)
    pieces = ({peer + 1: answers[peer][start : start + field.BYTES] for peer in from_whom} for start in starts)
    return [field.combine(shares, by) for shares in pieces]
