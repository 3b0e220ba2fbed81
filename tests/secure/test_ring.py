"""Fixed-point numbers and packed words: nothing is lost, nothing overflows, and not a bit is wasted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench.secure import Refused
from invbench.secure.ring import FixedPoint, pack, packed_bytes, ring_bits, unpack, wrap


@pytest.mark.parametrize(("clients", "bits", "width"), [(1, 16, 16), (2, 16, 17), (1024, 16, 26), (2**14, 16, 30)])
def test_the_ring_has_exactly_as_many_bits_as_the_largest_sum(clients: int, bits: int, width: int) -> None:
    assert ring_bits(clients, bits) == width
    assert 2 ** (width - 1) < clients * (2**bits - 1) + 1 <= 2**width


@pytest.mark.parametrize("clients", [1, 2, 3, 63, 64, 65, 1024, 1025])
@pytest.mark.parametrize("sign", [-1, 1])
def test_with_every_client_at_the_limit_nothing_overflows(clients: int, sign: int) -> None:
    point, width = FixedPoint(0.5, 16), ring_bits(clients, 16)
    code = point.encode(np.array([sign * 7.0]))  # beyond the clip
    assert point.decode(wrap(code * np.uint64(clients), width), clients) == pytest.approx([sign * 0.5 * clients])


def test_zero_is_exact_and_a_value_is_at_most_half_a_step_away() -> None:
    point = FixedPoint(1.0, 16)
    values = np.append(np.random.default_rng(0).uniform(-1, 1, 1000), 0.0)
    decoded = point.decode(point.encode(values), 1)
    assert decoded[-1] == 0
    assert np.abs(decoded - values).max() <= point.step / 2 * (1 + 1e-9)


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(Refused, match="not finite"):
        FixedPoint(1.0, 16).encode(np.array([np.nan]))


@given(st.integers(1, 41), st.integers(0, 100), st.integers(0, 2**32))
@settings(deadline=None, max_examples=30)
def test_packed_words_are_read_back(width: int, length: int, seed: int) -> None:
    words = np.random.default_rng(seed).integers(0, 2**width, length, dtype=np.uint64)
    packed = pack(words, width)
    assert len(packed) == packed_bytes(length, width)
    assert np.array_equal(unpack(packed, length, width), words)


def test_long_vectors_are_packed_in_blocks_without_a_gap() -> None:
    words = np.random.default_rng(0).integers(0, 2**17, 2**16 + 5, dtype=np.uint64)
    assert np.array_equal(unpack(pack(words, 17), len(words), 17), words)
    with pytest.raises(Refused, match="words of 17 bits"):
        unpack(pack(words, 17)[:-1], len(words), 17)
