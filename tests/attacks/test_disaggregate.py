"""Disaggregation of real updates: who took part, with what, and which pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_federations import federation_cell

from invbench.attacks.disaggregate import Disaggregate
from invbench.games.participation import Participation, ParticipationDeal
from invbench.observation import ParticipationGuess
from invbench.play.asking import why_unsupported

CPU = torch.device("cpu")


def attacked(folder: Path, attack: Disaggregate | None = None, **said: Any) -> tuple[ParticipationDeal, Any]:
    deal = Participation().deal(federation_cell(folder, **said), CPU)
    answers = (attack or Disaggregate()).attack_all(deal.observations)
    assert [deal.complaint(k, answer) for k, answer in enumerate(answers)] == [None] * len(answers)
    return deal, deal.score(answers)


@pytest.mark.parametrize(
    "defense", ["none", "secure-aggregation", [{"name": "sign"}], [{"name": "gaussian", "std": 1e-4}]]
)
def test_who_took_part_is_found_behind_defences_that_leave_an_update_its_own(defense: Any, tmp_path: Path) -> None:
    deal, scores = attacked(tmp_path, defense=defense, targets=2)
    assert np.mean(scores["rounds_right"]) == 1.0
    assert np.mean(deal.controls()["counts"]["rounds_right"]) < 0.85
    if defense == "none":
        assert np.max(scores["update_error"]) < 1e-4
    assert np.min(deal.controls()["counts"]["update_error"]) > 0.3


def test_pictures_are_read_from_the_updates_that_were_recovered(tmp_path: Path) -> None:
    deal, scores = attacked(tmp_path, Disaggregate(inner="analytic"), defense="secure-aggregation")
    assert len(scores["psnr"][0]) == 6
    assert np.mean(scores["psnr"]) > np.mean(deal.controls()["mean"]["psnr"]) + 10


def test_a_model_that_moves_far_hides_who_took_part(tmp_path: Path) -> None:
    (_, still), (_, moved) = (attacked(tmp_path, server_lr=rate) for rate in (0.0, 0.5))
    assert np.mean(still["column_right"]) == 1.0
    assert np.mean(moved["column_right"]) < 0.9


def test_a_model_that_diverges_is_no_answer(tmp_path: Path) -> None:
    deal = Participation().deal(federation_cell(tmp_path, server_lr=1000.0), CPU)
    (answer,) = Disaggregate().attack_all(deal.observations)
    assert "not finite" in answer.notes[0]
    assert set(deal.score([answer])) == {"rounds_right", "column_right"}


def test_noise_in_the_sums_place_tells_nothing(tmp_path: Path) -> None:
    cell = federation_cell(tmp_path, controls=["counts", "noise"])
    game = Participation()
    seen = game.reruns(cell)["noise"].observe(CPU)
    deal = game.deal(cell, CPU)
    assert [float(one.sums[3].norm()) for one in seen] == pytest.approx(
        [float(one.sums[3].norm()) for one in deal.observations], rel=1e-5
    )
    scores = deal.score(Disaggregate(iterations=100, restarts=0).attack_all(seen))
    assert np.mean(scores["column_right"]) < 0.4


@pytest.mark.parametrize(
    ("attack", "said", "why"),
    [
        ({"inner": "analytic"}, {"server_lr": 0.1}, "a model that moves"),
        ({"inner": "analytic"}, {"batch_size": 2, "clients": 4}, "needs batch_size 1, not 2"),
        ({"inner": "peel"}, {"steps": 2}, "peel: needs an update that is an exact multiple of one gradient"),
    ],
)
def test_what_the_inner_attack_cannot_read_says_why(
    attack: dict[str, Any], said: dict[str, Any], why: str, tmp_path: Path
) -> None:
    cell = federation_cell(tmp_path, attack={"name": "disaggregate", **attack}, **said)
    assert why in str(why_unsupported(cell))


def test_a_failed_attack_says_that_nobody_took_part(tmp_path: Path) -> None:
    deal = Participation().deal(federation_cell(tmp_path), CPU)
    nothing = deal.observations[0].nothing("no reason")
    assert isinstance(nothing, ParticipationGuess)
    assert deal.complaint(0, nothing) is None
    assert set(deal.score([nothing])) == {"rounds_right", "column_right"}
