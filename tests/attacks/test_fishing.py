"""One class's pictures out of a batch: as well as alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from read_pictures import decibels
from small_cells import crops, make_cell, write_pool

from invbench.attacks.fishing import Fishing
from invbench.cell import Cell
from invbench.games.update import UpdateGame
from invbench.play.asking import attack_of, why_unsupported
from invbench.play.dealing import dealt
from invbench.play.playing import play

CPU = torch.device("cpu")
ANALYTIC = {"name": "fishing", "inner": "analytic", "label": 1}
MLP = {"name": "mlp", "width": 16}


def cell_of(folder: Path, **said: Any) -> Cell:
    """Batches of six; the first holds one picture of class 1, the second none."""
    if not (folder / "pool.npz").exists():
        write_pool(folder / "pool.npz", crops(12), np.array([0, 2, 1, 0, 2, 2, 0, 2, 0, 0, 2, 2]))
    return make_cell(folder, **{"attack": ANALYTIC, "model": MLP, "batch_size": 6, "targets": 2, **said})


def test_the_one_picture_of_a_class_is_read_out_of_six_and_no_other(tmp_path: Path) -> None:
    record = play(cell_of(tmp_path), "cpu").record
    first, second = record.scores["recovered"]
    assert (first, sum(second)) == ([0, 0, 1, 0, 0, 0], 0)
    assert record.scores["psnr"][0][2] > 90
    assert any("the batch holds no picture of class 1" in note for note in record.notes)
    assert record.scores["d_snr"][0][0] == 1e9
    assert 0.2 <= record.scores["d_snr_honest"][0][0] < 10


def test_a_search_reads_it_as_well_as_alone_and_of_honest_weights_not(tmp_path: Path) -> None:
    attack = {"name": "fishing", "label": 1, "evaluations": 150}
    cell = cell_of(tmp_path, attack=attack, model="lenet", targets=1)
    found, blind = (decibels(cell, deal) for deal in (dealt(cell, CPU), UpdateGame().deal(cell, CPU)))
    assert found[2] > max(blind) + 3


def test_several_of_a_class_are_left_to_an_inner_attack_that_reads_several(tmp_path: Path) -> None:
    cell = cell_of(tmp_path, attack={**ANALYTIC, "label": 2}, targets=1)
    record = play(cell, "cpu").record
    assert any("3 pictures of class 2: analytic needs batch_size 1, not 3" in note for note in record.notes)
    searching = {"name": "fishing", "label": 2, "evaluations": 2}
    record = play(cell_of(tmp_path, attack=searching, targets=1), "cpu").record
    assert sum(record.scores["recovered"][0]) == 3
    assert record.facts[0]["fished"] == 3


def test_by_feature_one_picture_of_several_of_a_class_is_read(tmp_path: Path) -> None:
    """Of a batch of six with two of class 1; four more of it are the attacker's own."""
    write_pool(tmp_path / "pool.npz", crops(14), np.array([0, 1, 2, 0, 1, 2, 1, 1, 1, 1, 0, 2, 0, 2]))
    attack = {"name": "fishing", "label": 1, "by": "feature", "evaluations": 100}
    said = {"model": "lenet", "targets": 1, "protocol": {"name": "fedsgd", "public": 8}}
    cell = cell_of(tmp_path, attack=attack, **said)
    deal = dealt(cell, CPU)
    (guess,) = attack_of(cell).attack_all(deal.observations)
    assert (guess.images.shape, guess.facts["fished"]) == ((1, 3, 16, 16), 2)
    truth = torch.from_numpy(deal.truths[0].images[[1, 4]]).flatten(1)
    alike = torch.corrcoef(torch.cat([truth, guess.images.flatten(1)]))[2, :2]
    assert float(alike.max()) > 0.4
    few = cell_of(tmp_path, attack=attack, **said | {"protocol": {"name": "fedsgd", "public": 1}})
    assert "needs 3 pictures of class 1 of the attacker's own (`public`), not" in str(why_unsupported(few))
    assert "does not end so" in str(why_unsupported(cell_of(tmp_path, attack=attack, **said | {"model": MLP})))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"attack": {"name": "fishing", "label": 3}}, "fishes for class 3; there are 3, counted from 0"),
        ({"model": {"name": "mlp", "bias": False}}, "needs a last fully connected layer with bias"),
        ({"protocol": {"name": "fedsgd", "batch_norm": "train"}}, "mixes its pictures"),
        ({"protocol": "fedavg"}, "exact multiple of one gradient"),
        ({"model": "lenet"}, "analytic: needs a first fully connected layer"),
    ],
)
def test_what_it_needs(said: dict[str, Any], why: str, tmp_path: Path) -> None:
    assert why in str(why_unsupported(cell_of(tmp_path, **said)))


def test_the_forecast_is_of_a_short_version() -> None:
    assert Fishing().trial() == (Fishing(evaluations=100), 15.0)
