"""A client of the protocol: four messages, each sent once."""

from __future__ import annotations

from collections.abc import Mapping

from invbench.secure import Draw, Plan, Refused, field
from invbench.secure.masks import KEY, agreed, mask, private_key, public_key, seal, seed, unseal
from invbench.secure.ring import Words, pack, wrap

ID = 2
"""Bytes of a client's number in what is sent."""


class Client:
    """One client, by its number from 0 on. Whatever a server asks of it, it gives one kind of share of each peer.

    Both kinds together open a peer's vector: its own seed (of a peer that is in the sum) takes away the mask of its
    own, its private key (of one that dropped out) the masks that it shares with others.
    """

    def __init__(self, number: int, plan: Plan, draw: Draw) -> None:
        self.number, self.plan = number, plan
        self._draw = draw
        self._sealing, self._masking, self._seed = private_key(draw), private_key(draw), seed(draw)
        self._keys: dict[int, bytes] = {}
        self._shares: dict[int, tuple[bytes, bytes]] = {}  # of private key and seed, by the peer whose they are
        self._sent = self._answered = False

    def advertise(self) -> bytes:
        """Public keys for sealing and for masks, 64 bytes."""
        return public_key(self._sealing) + public_key(self._masking)

    def share(self, keys: Mapping[int, bytes]) -> dict[int, bytes]:
        """For each other client that advertised its `keys`, sealed: a share of the private key and of the seed."""
        if self._keys:
            raise Refused(f"client {self.number} has sent its shares already")
        self._enough(len(keys), "keys")
        if keys.get(self.number) != self.advertise():
            raise Refused(f"client {self.number}: its own keys are not as it advertised them")
        if any(len(pair) != 2 * KEY for pair in keys.values()) or len(set(keys.values())) < len(keys):
            raise Refused(f"client {self.number}: keys that are cut, or that two clients share")
        self._keys = dict(keys)
        places = [peer + 1 for peer in keys]
        of_key = field.split(self._masking, self.plan.threshold, places, self._draw)
        of_seed = field.split(self._seed, self.plan.threshold, places, self._draw)
        pairs = {peer: (of_key[peer + 1], of_seed[peer + 1]) for peer in keys}
        self._shares[self.number] = pairs.pop(self.number)
        return {peer: self._sealed(peer, pair) for peer, pair in pairs.items()}

    def masked(self, sealed: Mapping[int, bytes], words: Words) -> bytes:
        """The words behind its masks, packed. `sealed`: what the peers that take part sent to it."""
        if self._sent:
            raise Refused(f"client {self.number} has sent its vector already: two under one mask tell their difference")
        self._enough(len(sealed) + 1, "shares")
        for peer, text in sealed.items():
            if peer == self.number or peer not in self._keys:
                raise Refused(f"client {self.number}: shares of {peer}, who has advertised no keys")
            try:
                self._shares[peer] = self._unsealed(peer, text)
            except Refused as error:
                raise Refused(f"client {self.number}: shares of client {peer}: {error}") from error
        if words.shape != (self.plan.length,) or int(words.max(initial=0)) >> self.plan.width:
            raise Refused(f"client {self.number}: no vector of {self.plan.length} words of {self.plan.width} bits")
        self._sent = True
        total = words + mask(self._seed, self.plan.length, self.plan.width)
        for peer in sealed:
            total = total + pair_mask(self.plan, self.number, peer, self._masking, self._keys[peer][KEY:])
        return pack(wrap(total, self.plan.width), self.plan.width)

    def unmask(self, survivors: frozenset[int]) -> bytes:
        """Of each client that shared, in order: the share of the seed of those whose vectors are in the sum
        (`survivors`), else that of the private key. Asked for once, by whatever set."""
        if not self._sent or self._answered:
            raise Refused(f"client {self.number} gives shares once, after its vector: both kinds open a peer's vector")
        if not survivors <= self._shares.keys() or self.number not in survivors:
            raise Refused(f"client {self.number}: the sum is of others than those who shared, or lacks its own vector")
        self._enough(len(survivors), "vectors")
        self._answered = True
        return b"".join(self._shares[peer][peer in survivors] for peer in sorted(self._shares))

    def _enough(self, there: int, what: str) -> None:
        if there < self.plan.threshold:
            raise Refused(f"client {self.number}: {what} of {there} clients, below the threshold {self.plan.threshold}")

    def _sealed(self, peer: int, pair: tuple[bytes, bytes]) -> bytes:
        route = _route(self.plan, self.number, peer)
        return seal(agreed(self._sealing, self._keys[peer][:KEY], route), b"".join(pair), route)

    def _unsealed(self, peer: int, text: bytes) -> tuple[bytes, bytes]:
        route = _route(self.plan, peer, self.number)
        pair = unseal(agreed(self._sealing, self._keys[peer][:KEY], route), text, route)
        if len(pair) != 2 * field.BYTES:
            raise Refused(f"{len(pair)} bytes are not two shares")
        return pair[: field.BYTES], pair[field.BYTES :]


def pair_mask(plan: Plan, one: int, other: int, private: bytes, public: bytes) -> Words:
    """What client `one` adds to its words for `other`, of the private key of either and the public key of the other:
    the two cancel in the ring."""
    low, high = sorted((one, other))
    shared = mask(
        agreed(private, public, b"mask" + plan.session + _number(low) + _number(high)), plan.length, plan.width
    )
    return shared if one == low else wrap(-shared, plan.width)


def _route(plan: Plan, sender: int, receiver: int) -> bytes:
    return b"shares" + plan.session + _number(sender) + _number(receiver)


def _number(client: int) -> bytes:
    return client.to_bytes(ID, "little")
