"""Secure aggregation as a defence: what the server sees of which clients, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn_updates import context
from small_cells import make_cell, make_cells

from invbench.defenses import Stack, mean
from invbench.defenses.secure_aggregation import SecureAggregation
from invbench.games import game_of
from invbench.matrix import MatrixErrors
from invbench.observation import Update
from invbench.play.asking import why_unsupported
from invbench.play.dealing import dealt


def updates(clients: int, scale: float = 0.3) -> list[Update]:
    drawn = torch.Generator().manual_seed(7)
    return [tuple(scale * torch.randn(shape, generator=drawn) for shape in ((3, 5), (4,))) for _ in range(clients)]


def summed(defense: SecureAggregation, sent: Sequence[Update]) -> Update:
    (only,) = Stack((defense,)).at("aggregate", list(sent), context(3))
    return only


def close(a: Update, b: Update, within: float) -> bool:
    return all(bool(((x - y).abs() <= within).all()) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(("dropouts", "colluding", "seen"), [(0, 0, 5), (1, 0, 4), (0, 2, 3), (1, 2, 2), (1, 3, 1)])
def test_the_server_sees_the_mean_of_the_clients_that_neither_drop_out_nor_collude(
    dropouts: int, colluding: int, seen: int
) -> None:
    defense = SecureAggregation(clip=2.0, dropouts=dropouts, colluding=colluding)
    assert Stack((defense,)).clients_seen(5) == seen
    step = 2.0 / (2**15 - 1)
    assert close(summed(defense, updates(5)), mean(updates(5)[:seen]), step / 2 + 1e-6)


def test_an_attacker_expects_the_rounding_and_the_limits() -> None:
    defense, (sent,) = SecureAggregation(clip=0.5, bits=6), updates(1)
    seen = summed(defense, [sent])
    expected, variance = Stack((defense,)).expected(sent, tuple(torch.zeros_like(t) for t in sent), seen)
    error = torch.cat([(s - e).reshape(-1) for s, e in zip(seen, expected, strict=True)])
    inside = torch.cat([t.reshape(-1) for t in sent]).abs() < 0.5
    assert 0.4 < float(error[inside].square().mean() / variance[0][0, 0]) < 2
    low, high = Stack((defense,)).interval(seen)
    assert all(bool(((a <= s) & (s <= b)).all()) for a, s, b in zip(low, sent, high, strict=True))
    assert float((high[0] - low[0]).min()) == pytest.approx(0.5 / 31)


def test_one_client_is_not_protected_and_the_record_says_so(tmp_path: Path) -> None:
    cells = make_cells(tmp_path, defense=["none", "secure-aggregation"])
    bare, defended = (game_of(cell).deal(cell, torch.device("cpu")) for cell in cells)
    assert any("protects nothing here" in note for note in defended.notes)
    step = 1 / (2**15 - 1)
    assert close(bare.observations[0].update, defended.observations[0].update, step / 2 * 1.001)


def test_the_pictures_of_clients_that_are_not_in_the_sum_are_not_attacked(tmp_path: Path) -> None:
    defense = {"name": "secure-aggregation", "dropouts": 1, "colluding": 1}
    protocol = {"name": "fedsgd", "clients": 4}
    cell = make_cell(tmp_path, attack="inverting-gradients", defense=defense, protocol=protocol, targets=1)
    dealt = game_of(cell).deal(cell, torch.device("cpu"))
    seen = dealt.observations[0]
    assert (seen.public.clients, seen.public.pictures, len(seen.labels)) == (2, 2, 2)
    assert any("the sum of 2 of 4 clients" in note for note in dealt.notes)
    assert [len(truth.images) for truth in dealt.truths] == [2]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"dropouts": 2}, "fewer are left than its threshold 3"),
        ({"colluding": 3}, "the shares of 3 colluding clients open every mask"),
        ({"threshold": 1, "dropouts": 3, "colluding": 1}, "none is left"),
    ],
)
def test_a_round_that_ends_without_a_sum_or_hides_nothing_is_unsupported(
    settings: dict[str, Any], why: str, tmp_path: Path
) -> None:
    defense = {"name": "secure-aggregation", **settings}
    cell = make_cell(
        tmp_path, attack="inverting-gradients", defense=defense, protocol={"name": "fedsgd", "clients": 4}, targets=1
    )
    assert why in str(why_unsupported(cell))


def test_a_threshold_above_the_clients_is_refused_with_its_place(tmp_path: Path) -> None:
    defense = {"name": "secure-aggregation", "threshold": 9}
    with pytest.raises(
        MatrixErrors, match=r"m.yaml:\d+:\d+: .*threshold 9 is above 4, the clients of fedsgd"
    ) as raised:
        make_cells(tmp_path, defense=defense, protocol=[{"name": "fedsgd", "clients": n} for n in (4, 16)])
    (error,) = raised.value.errors
    assert (tmp_path / "m.yaml").read_text().splitlines()[error.line - 1].strip() == "threshold: 9"


def test_messages_are_as_long_as_the_ring_and_the_shares_say() -> None:
    sent = Stack((SecureAggregation(),)).message_bytes(updates(1)[0], clients=8)
    assert sent == 19 * 19 // 8 + 1 + 64 + 7 * (2 + 80) + 8 * 32


def test_limits_are_of_the_clients_that_are_seen_and_of_an_honest_servers_model(tmp_path: Path) -> None:
    defense = [{"name": "gaussian", "std": 0.1}, {"name": "secure-aggregation", "colluding": 2}]
    said = {"defense": [defense], "protocol": {"name": "fedsgd", "clients": 4}, "targets": 1}
    kinds: dict[str, Any] = {
        "attack": ["inverting-gradients", "suppress"],
        "model": {"name": "mlp", "width": 4, "depth": 1},
    }
    honest, malicious = (dealt(cell, torch.device("cpu")) for cell in make_cells(tmp_path, **kinds, **said))
    assert honest.limits()["limit_psnr_dfil"][0]
    assert malicious.limits().keys() == {"d_snr", "d_snr_honest"}
    assert any("a malicious server gives clients weights of its own" in note for note in malicious.notes)
