"""Shares of a secret, any `threshold` of which give it and fewer tell nothing (Shamir 1979, 10.1145/359168.359176)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from invbench.secure import Draw, Refused

PRIME = 2**255 - 19
"""The field's: 32 bytes hold a share, and a private key of X25519, which is below 2^255."""
BYTES = 32
"""Of a secret and of a share."""


def split(secret: bytes, threshold: int, places: Sequence[int], draw: Draw) -> dict[int, bytes]:
    """A share for each place (not 0): the values there of a random polynomial of degree threshold - 1 that is the
    secret at 0. ValueError where the secret is no element of the field."""
    constant = _element(secret)
    if any(place % PRIME == 0 for place in places):
        raise ValueError("the polynomial at 0 is the secret itself")
    coefficients = [constant, *(_below_prime(draw) for _ in range(threshold - 1))]
    return {place: _value(coefficients, place).to_bytes(BYTES, "little") for place in places}


def weights(places: Sequence[int], at: int = 0) -> dict[int, int]:
    """Lagrange's weights: the polynomial's value `at` is the sum of its values at these places times them."""
    found = {}
    for place in places:
        above = below = 1
        for other in places:
            if other != place:
                above = above * (at - other) % PRIME
                below = below * (place - other) % PRIME
        found[place] = above * pow(below, -1, PRIME) % PRIME
    return found


def combine(shares: Mapping[int, bytes], by: Mapping[int, int]) -> bytes:
    """The secret, from shares by place and `weights` of as many places as the threshold says."""
    secret = sum(_element(shares[place]) * weight for place, weight in by.items()) % PRIME
    return secret.to_bytes(BYTES, "little")


def _element(text: bytes) -> int:
    number = int.from_bytes(text, "little")
    if len(text) != BYTES or number >= PRIME:
        raise Refused(f"no element of the field: {len(text)} bytes")
    return number


def _below_prime(draw: Draw) -> int:
    """Uniform: 255 random bits, drawn again where they are not below the prime (19 of 2^255)."""
    while (number := int.from_bytes(draw(BYTES), "little") >> 1) >= PRIME:
        pass
    return number


def _value(coefficients: Sequence[int], place: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * place + coefficient) % PRIME
    return value
