"""Cells whose attacker is not told how clients scale their loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_cells import make_cells

from invbench.games import game_of
from invbench.play.asking import why_unsupported
from invbench.play.playing import play
from invbench.updates.simulation import as_gradient

CPU = torch.device("cpu")
SUM = {"name": "fedsgd", "reduction": "sum", "loss_scale": 3.0}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))


def test_what_is_hidden_is_on_the_update_and_not_in_what_the_attacker_is_told(tmp_path: Path) -> None:
    attack = {"name": "inverting-gradients", "iterations": 1, "scale": "fitted"}
    asked = ["fedsgd", SUM, {**SUM, "loss": "hidden"}]
    plain, told, hidden = make_cells(tmp_path, attack=attack, batch_size=2, protocol=asked)
    assert not {"reduction", "loss_scale", "loss"} & set(plain.settings["protocol"])
    assert len({plain.id, told.id, hidden.id}) == 3
    before, knows, blind = (game_of(one).deal(one, CPU).observations[0] for one in (plain, told, hidden))
    for a, b, c in zip(before.update, knows.update, blind.update, strict=True):
        torch.testing.assert_close(6 * a, b)
        assert torch.equal(b, c)
    assert dict(knows.public.protocol_settings)["reduction"] == "sum"
    said = dict(blind.public.protocol_settings)
    assert (said["reduction"], said["loss_scale"], said["loss"]) == ("mean", 1.0, "hidden")
    assert torch.equal(as_gradient(blind)[0], blind.update[0])
    torch.testing.assert_close(as_gradient(knows)[0], before.update[0])
    record = play(hidden, "cpu").record
    assert record.status == "ok"


def test_an_attack_that_needs_the_scale_is_unsupported_and_a_ratio_does_not_mind(tmp_path: Path) -> None:
    peel, analytic = make_cells(tmp_path, attack=["peel", "analytic"], protocol={**SUM, "loss": "hidden"})
    assert "which the protocol hides" in (why_unsupported(peel) or "")
    assert why_unsupported(analytic) is None
    assert min(value for target in play(analytic, "cpu").record.scores["psnr"] for value in target) > 90
