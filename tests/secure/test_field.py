"""Shamir's shares: as many as the threshold give the secret, whichever they are; fewer tell nothing."""

from __future__ import annotations

from itertools import combinations

import pytest
from drawn_bytes import drawing

from invbench.secure import Refused, field


def test_any_threshold_shares_give_the_secret_and_one_less_any_other_secret() -> None:
    secret = drawing(1)(31) + b"\0"
    shares = field.split(secret, 3, [1, 2, 3, 4, 5], drawing(2))
    for places in combinations(shares, 3):
        assert field.combine(shares, field.weights(places)) == secret
    other = (12345).to_bytes(32, "little")  # a third share exists that makes it the secret of the same two
    at_zero = {**{place: shares[place] for place in (1, 2)}, 0: other}
    weights = field.weights([0, 1, 2], at=3)
    third = field.combine(at_zero, weights)
    assert field.combine({1: shares[1], 2: shares[2], 3: third}, field.weights([1, 2, 3])) == other


def test_a_threshold_of_one_is_the_secret_itself() -> None:
    secret = (7).to_bytes(32, "little")
    assert field.split(secret, 1, [4], drawing(0)) == {4: secret}


def test_what_is_no_element_of_the_field_and_the_place_of_the_secret_are_refused() -> None:
    with pytest.raises(Refused, match="no element of the field"):
        field.split(b"\xff" * 32, 2, [1, 2], drawing(0))
    with pytest.raises(ValueError, match="the secret itself"):
        field.split(bytes(32), 2, [0, 1], drawing(0))


def test_the_field_has_a_prime_number_of_elements() -> None:
    odd = field.PRIME - 1
    twos = (odd & -odd).bit_length() - 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):  # Miller and Rabin
        x = pow(base, odd >> twos, field.PRIME)
        squares = [pow(x, 2**k, field.PRIME) for k in range(twos)]
        assert x == 1 or field.PRIME - 1 in squares
