"""Attacks of game `update-attribute`: what each reads of one update, and the controls that it beats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made_rows
import numpy as np
import pytest
import torch
from made_tables import part

from invbench.attacks.cos_matching import CosMatching
from invbench.attacks.row_posterior import RowPosterior
from invbench.games import Scores
from invbench.observation import UpdateAttributeObservation
from invbench.play.asking import why_unsupported
from invbench.updates.rows import LabelsOfRows, asked_of

COS, POSTERIOR = {"name": "cos-matching"}, {"name": "row-posterior"}
TRAINED = {"trained": True, "training_steps": 100}


def accuracy(scores: Scores) -> float:
    return float(np.mean([one for (one,) in scores["accuracy"]]))


@pytest.mark.parametrize(
    ("protocol", "model"),
    [
        ({}, {}),
        ({}, TRAINED),
        ({"labels": "hidden"}, TRAINED),
        ({"name": "fedavg", "steps": 3}, {}),
        ({"reduction": "sum", "loss": "hidden"}, {}),
    ],
    ids=["untrained", "trained", "labels-hidden", "fedavg", "loss-hidden"],
)
def test_of_one_record_every_value_is_read(protocol: dict[str, Any], model: dict[str, Any], tmp_path: Path) -> None:
    scores, controls = made_rows.attacked(made_rows.cell(tmp_path, COS, protocol=protocol, model=model, targets=20))
    assert accuracy(scores) == 1
    assert max(map(accuracy, controls.values())) <= 0.9


@pytest.mark.parametrize("attack", [COS, POSTERIOR], ids=lambda attack: attack["name"])
def test_noise_tells_nothing(attack: dict[str, Any], tmp_path: Path) -> None:
    cell = made_rows.cell(tmp_path, attack, protocol={"public": 60}, targets=20)
    found, controls = accuracy(made_rows.rerun(cell, "noise")), made_rows.attacked(cell)[1]
    assert found < accuracy(controls["classifier"]) + 0.05


@pytest.mark.parametrize("model", [{}, TRAINED], ids=["untrained", "trained"])
def test_in_a_batch_the_posterior_reads_above_controls_and_cosine(model: dict[str, Any], tmp_path: Path) -> None:
    said: dict[str, Any] = {"protocol": {"public": 60}, "model": model, "batch_size": 4, "targets": 40}
    scores, controls = made_rows.attacked(made_rows.cell(tmp_path, POSTERIOR, **said))
    cosine, _ = made_rows.attacked(made_rows.cell(tmp_path, COS, **said))
    assert accuracy(scores) > max(map(accuracy, controls.values())) + 0.1
    assert accuracy(scores) > accuracy(cosine)


def test_behind_much_noise_the_posterior_is_what_is_known_without_an_update(tmp_path: Path) -> None:
    loud = (part("defense", "gaussian", std=1e4),)
    cell = made_rows.cell(tmp_path, POSTERIOR, protocol={"public": 60}, batch_size=2, targets=10, defense=loud)
    for seen in made_rows.dealt(cell).observations:
        assert isinstance(seen, UpdateAttributeObservation)
        asked = asked_of(seen)
        expected = (asked.prior.log() + LabelsOfRows.of(seen).logs(asked.rows)).softmax(dim=0)
        (answer,) = RowPosterior().attack_all([seen])
        torch.testing.assert_close(torch.tensor(answer.probabilities), expected.float(), atol=1e-2, rtol=0)


def test_labels_that_are_hidden_are_summed_out(tmp_path: Path) -> None:
    cell = made_rows.cell(tmp_path, POSTERIOR, protocol={"public": 60, "labels": "hidden"}, targets=10)
    assert accuracy(made_rows.attacked(cell)[0]) == 1
    asked = asked_of(made_rows.dealt(cell).observations[0])
    assert asked.value.tolist() == [0, 1, 2] * 3
    assert asked.rows.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_a_diverged_update_has_no_answer(tmp_path: Path) -> None:
    seen = made_rows.dealt(made_rows.cell(tmp_path, COS, targets=1)).observations[0]
    seen.update[0].fill_(torch.nan)
    (answer,) = CosMatching().attack_all([seen])
    assert answer.notes == ("the update is not finite: the clients' own computing diverged",)
    assert answer.probabilities == (1 / 3,) * 3


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "needs at least 10 pictures of the attacker's own: give the protocol `public: NUMBER`"),
        ({"protocol": {"public": 60, "name": "fedavg"}}, "needs an update that is an exact multiple of one gradient"),
        ({"defense": (part("defense", "clip", norm=1.0),)}, "scales an update by what only the client knows"),
        ({"protocol": {"public": 60, "loss": "hidden"}}, "needs the scale of the clients' loss"),
    ],
)
def test_where_lengths_cannot_be_compared_it_says_why(said: dict[str, Any], why: str, tmp_path: Path) -> None:
    said = {"protocol": {"public": 60}, **said} if said else {}
    assert why in str(why_unsupported(made_rows.cell(tmp_path, POSTERIOR, **said)))
