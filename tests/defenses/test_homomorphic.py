"""Homomorphic aggregation: what comes out is the sum, what a ciphertext takes, and who could decrypt more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_updates import context, same_bits
from small_cells import make_cell

from invbench.defenses import Stack, _ciphers, mean
from invbench.defenses.homomorphic import Homomorphic
from invbench.observation import Update
from invbench.play.asking import why_unsupported

SMALL: dict[str, Any] = {"scheme": "paillier", "modulus": 1024, "sample": 2}


def updates(clients: int, scale: float = 1.0) -> list[Update]:
    drawn = torch.Generator().manual_seed(7)
    return [
        tuple(scale * torch.randn(shape, generator=drawn, dtype=torch.float64) for shape in ((50, 90), (4,)))
        for _ in range(clients)
    ]


def summed(defense: Homomorphic, sent: list[Update]) -> Update:
    (only,) = Stack((defense,)).at("aggregate", sent, context(3))
    return only


@pytest.fixture(params=["tenseal", "phe"])
def scheme(request: pytest.FixtureRequest) -> dict[str, Any]:
    pytest.importorskip(request.param, reason="needs the extra `he`")
    return SMALL if request.param == "phe" else {}


@pytest.mark.parametrize("scale", [1e-6, 1.0, 200.0])
def test_the_server_sees_the_mean_and_the_same_bits_each_time(scheme: dict[str, Any], scale: float) -> None:
    sent = updates(3, scale)
    seen = summed(Homomorphic(**scheme), sent)
    assert max(float((a - b).abs().max()) for a, b in zip(seen, mean(sent), strict=True)) < 1e-6
    assert same_bits(seen, summed(Homomorphic(**scheme), sent))


def test_the_error_of_ckks_itself_is_below_a_millionth_and_far_below_what_numbers_are_apart() -> None:
    pytest.importorskip("tenseal", reason="needs the extra `he`")
    values = np.random.default_rng(0).normal(size=_ciphers.SLOTS)
    total = _ciphers.encrypted(values)
    for _ in range(7):
        total += _ciphers.encrypted(values)
    error = np.abs(np.asarray(total.decrypt()) - 8 * values).max()
    assert 0 < error < 1e-6
    assert error < _ciphers.FACTOR / 2 / 50
    largest = np.full(_ciphers.SLOTS, 2**42, dtype=np.int64)  # 1,024, the largest clip
    assert np.array_equal(_ciphers.Ckks().total([largest, -largest + 1, largest]), largest + 1)


def test_ciphertexts_are_some_twenty_and_192_times_as_long_as_the_values() -> None:
    pytest.importorskip("tenseal", reason="needs the extra `he`")
    shared = (torch.zeros(3 * 4096),)
    assert 19 < Stack((Homomorphic(),)).message_bytes(shared, 8) / (4 * 3 * 4096) < 21
    assert Stack((Homomorphic(scheme="paillier"),)).message_bytes(shared, 8) == 192 * 4 * 3 * 4096


def test_flooding_noise_is_on_the_sum_and_expected_there() -> None:
    pytest.importorskip("tenseal", reason="needs the extra `he`")
    defense, (sent,) = Homomorphic(key="shared", flooding=0.01), updates(1)
    error = summed(defense, [sent])[0] - sent[0]
    assert float(error.std()) == pytest.approx(0.01, rel=0.05)
    _, variance = Stack((defense,)).expected(sent, tuple(torch.zeros_like(t) for t in sent), sent)
    assert float(variance[0][0, 0]) == pytest.approx(1e-4)


def test_notes_say_who_holds_the_key_and_what_that_means() -> None:
    assert "helper" in Homomorphic().round_notes(4)[0]
    assert "opens every client's update" in Homomorphic(key="clients").round_notes(4)[0]
    assert "without flooding noise" in Homomorphic(key="shared").round_notes(4)[1]
    assert "flooding noise, standard deviation 0.1" in Homomorphic(key="shared", flooding=0.1).round_notes(4)[1]
    assert "protects nothing" in Homomorphic().round_notes(1)[1]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "the helper holds the whole key and rounds the error away"),
        ({"key": "clients"}, "each client holds the whole key"),
        ({"key": "shared", "scheme": "paillier"}, "paillier decrypts without an error"),
    ],
)
def test_flooding_is_refused_where_no_error_is_handed_out(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Homomorphic(**said, flooding=0.1)


def test_what_a_holder_of_the_whole_key_hands_out_is_the_plain_sum_to_its_last_bit() -> None:
    """So nothing of the error, which would tell of the key, is in it."""
    pytest.importorskip("tenseal", reason="needs the extra `he`")
    grid = 2.0**-32
    vectors = [np.random.default_rng(k).integers(-(2**33), 2**33, _ciphers.SLOTS) for k in range(3)]
    seen = [
        summed(Homomorphic(key=key), [(torch.from_numpy(v * grid),) for v in vectors]) for key in ("helper", "clients")
    ]
    assert all(np.array_equal((of[0] * 3 / grid).round().numpy().astype(np.int64), sum(vectors)) for of in seen)


def test_without_its_package_it_is_unsupported_and_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ciphers, "find_spec", lambda name: None)
    cell = make_cell(tmp_path, defense="homomorphic", targets=1)
    assert "tenseal, which is not installed: pip install 'invbench[he]'" in str(why_unsupported(cell))
