"""Cells in which a client's batch is the same in several rounds: what is dealt, what is guaranteed, and the limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_cells import crops, make_cell, make_cells, write_pool

from invbench.cell import Cell
from invbench.games import game_of
from invbench.observation import UpdateObservation
from invbench.play.knowing import told_observations
from invbench.play.playing import play

CPU = torch.device("cpu")
ATTACK = {"name": "inverting-gradients", "iterations": 1}  # never called
NOISE = {"name": "gaussian", "std": 0.01}


def rounds(count: int) -> dict[str, Any]:
    return {"name": "fedsgd", "rounds": count}


def dealt(cell: Cell) -> UpdateObservation:
    return game_of(cell).deal(cell, CPU).observations[0]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    write_pool(tmp_path / "pool.npz", crops(24, side=6))


def test_cells_of_one_round_keep_their_ids_and_the_first_of_several_is_theirs(tmp_path: Path) -> None:
    one, three = make_cells(tmp_path, attack=ATTACK, defense=NOISE, protocol=["fedsgd", rounds(1), rounds(3)])
    assert one.id != three.id
    assert "rounds" not in one.settings["protocol"]
    alone, first = dealt(one), dealt(three)
    assert not alone.rounds
    assert len(first.rounds) == 3
    assert all(torch.equal(a, b) for a, b in zip(alone.update, first.update, strict=True))
    drawn = [one.update[0] for one in first.rounds]
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[1], drawn[2])


def test_an_adaptive_attack_reads_all_rounds_and_a_naive_one_the_first(tmp_path: Path) -> None:
    attacks = [{"name": "analytic"}, {"name": "analytic", "adaptive": False}]
    adaptive, naive = make_cells(tmp_path, attack=attacks, defense=NOISE, protocol=[rounds(4)])
    raw = dealt(adaptive)
    [knows], [does_not] = (told_observations(cell, [raw]) for cell in (adaptive, naive))
    assert knows.pooled
    assert torch.allclose(knows.update[0], torch.stack([one.update[0] for one in raw.rounds]).mean(dim=0))
    assert not does_not.rounds
    assert all(torch.equal(a, b) for a, b in zip(does_not.update, raw.update, strict=True))


def test_sixteen_rounds_raise_the_limits_by_twelve_decibels(tmp_path: Path) -> None:
    one, many = make_cells(tmp_path, attack=ATTACK, defense=NOISE, protocol=["fedsgd", rounds(16)])
    values = [game_of(cell).deal(cell, CPU).limits() for cell in (one, many)]
    for metric in ("limit_psnr", "limit_psnr_dfil"):
        once, often = (of[metric][0][0] for of in values)
        assert often - once == pytest.approx(12.0412, abs=1e-3)
    quieter = make_cell(tmp_path, attack=ATTACK, defense={"name": "gaussian", "std": 0.0025})
    assert game_of(quieter).deal(quieter, CPU).limits()["limit_psnr_prior"] == values[1]["limit_psnr_prior"]


def test_a_guarantee_is_of_all_rounds_together(tmp_path: Path) -> None:
    clip = {"name": "clip", "norm": 0.5}
    stack = [[clip, {"name": "gaussian", "std": 4.0}]]
    often = make_cell(tmp_path, attack=ATTACK, defense=stack, protocol=rounds(16))
    deal = game_of(often).deal(often, CPU)
    assert deal.limits()["epsilon"][0][0] == pytest.approx(4.3772, abs=1e-3)  # as std 1 in one round
    assert any("16 rounds of one batch" in note for note in deal.notes)


def test_such_a_cell_is_played_with_its_noise_control(tmp_path: Path) -> None:
    said = {"attack": "analytic", "defense": NOISE, "controls": ["noise"]}
    one, often = (play(make_cell(tmp_path, protocol=rounds(count), **said), "cpu").record for count in (1, 16))
    assert often.status == "ok"
    means = [sum(target[0] for target in record.scores["psnr"]) / 2 for record in (one, often)]
    assert means[1] > means[0] + 3
    assert means[1] > sum(target[0] for target in often.controls["noise"]["psnr"]) / 2
