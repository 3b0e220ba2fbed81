"""Game `update-attribute`: what crosses the wall, whom a round is about, and which cells it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import made_rows
import numpy as np
import pytest
import torch
from made_tables import GENES, part

from invbench.cell import Cell
from invbench.data.warfarin import DEMOGRAPHICS, Warfarin
from invbench.games._rows import own_rows, rows_of
from invbench.games.update_attribute import UpdateAttributeDeal
from invbench.observation import AttributeGuess, Guess
from invbench.play.asking import why_unsupported
from invbench.play.playing import play
from invbench.updates.simulation import simulate
from invbench.victims.rows import pool_of_table

COS = {"name": "cos-matching"}


def deal(cell: Cell) -> UpdateAttributeDeal:
    found = made_rows.dealt(cell)
    assert isinstance(found, UpdateAttributeDeal)
    return found


def test_the_true_row_is_one_of_the_candidates_and_what_is_shared_is_its_gradient(tmp_path: Path) -> None:
    played = deal(made_rows.cell(tmp_path, COS, targets=5))
    pool = rows_of(played.cell)
    for seen, row in zip(played.observations, played.people, strict=True):
        assert seen.values == GENES
        assert seen.value.tolist() == [0, 1, 2]  # their order says nothing
        assert float(seen.prior.sum()) == pytest.approx(1)
        own = pool.columns.of([pool.table.people[row]])
        mean, std = (torch.tensor(c).reshape(-1, 1, 1) for c in pool.normalisation)
        truth = GENES.index(pool.table.people[row]["gene"])
        torch.testing.assert_close(seen.candidates[truth], (torch.from_numpy(own[0]) - mean) / std)
        assert len({tuple(candidate.flatten().tolist()) for candidate in seen.candidates}) == 3
        assert seen.labels is not None
        made = simulate(seen.public, seen.model, seen.candidates[truth][None], seen.labels)
        for sent, simulated in zip(seen.update, made, strict=True):
            torch.testing.assert_close(sent, simulated)


def test_people_attacked_train_no_victim_and_are_none_of_the_attackers_own(tmp_path: Path) -> None:
    for trained in (False, True):
        model = {"trained": trained, "training_steps": 2}
        played = deal(made_rows.cell(tmp_path, COS, model=model, protocol={"public": 40}, batch_size=8))
        pool, own = rows_of(played.cell), own_rows(played.cell)
        reference = played.observations[0].public.reference
        assert reference is not None
        assert len(reference) == 40
        assert not set(played.people) & set(pool.train.tolist())
        assert not set(own.tolist()) & set(pool.targets.tolist())
        assert not (trained and set(own.tolist()) & set(pool.train.tolist()))


def test_the_person_asked_about_is_the_first_of_a_batch_in_which_nobody_is_twice(tmp_path: Path) -> None:
    cell = made_rows.cell(tmp_path, COS, batch_size=4, targets=3, protocol={"clients": 2})
    played = deal(cell)
    pool = rows_of(cell)
    for seen, row in zip(played.observations, played.people, strict=True):
        assert seen.labels is not None
        assert len(seen.labels) == seen.public.pictures == 8
        assert int(seen.labels[0]) == pool.labels[row]
    alone = deal(replace(cell, offset=2, targets=1))
    assert alone.people == played.people[2:]
    assert torch.equal(alone.observations[0].update[0], played.observations[2].update[0])
    other = deal(replace(cell, seed=1))
    assert other.people == played.people
    assert other.observations[0].labels is not None
    assert not torch.equal(other.observations[0].update[0], played.observations[0].update[0])


def test_attributes_that_are_not_told_are_tried_too(tmp_path: Path) -> None:
    data = part("dataset", "warfarin", sensitive="vkorc1", background="demographics")
    cell = made_rows.cell(tmp_path, COS, dataset=data, targets=2)
    seen = deal(cell).observations[0]
    assert len(seen.candidates) == 3 * 6 * 2 * 2
    assert float(seen.prior.sum()) == pytest.approx(1)
    assert np.bincount(seen.value.numpy()).tolist() == [24, 24, 24]
    pool = pool_of_table(Warfarin(sensitive="vkorc1", background="demographics").load())
    told = [k for k, feature in enumerate(pool.columns.features) if feature.name in DEMOGRAPHICS]
    assert (seen.candidates[:, told] == seen.candidates[:1, told]).all()


@pytest.mark.parametrize("labels", ["known", "hidden"])
def test_the_classifier_knows_the_label_where_it_is_granted(labels: str, tmp_path: Path) -> None:
    found = deal(made_rows.cell(tmp_path, COS, targets=60, protocol={"labels": labels})).controls()
    accuracy = {name: np.mean([one for (one,) in scores["accuracy"]]) for name, scores in found.items()}
    assert accuracy["mode"] < accuracy["imputation"]
    gain = accuracy["classifier"] - accuracy["imputation"]
    assert gain > 0.05 if labels == "known" else abs(gain) < 0.05


@pytest.mark.parametrize(
    "said",
    [
        {"protocol": {"name": "fedavg", "steps": 2, "labels": "hidden"}},
        {"defense": (part("defense", "gaussian", std=0.1),), "controls": ("noise",)},
    ],
)
def test_it_is_played_from_end_to_end(said: dict[str, Any], tmp_path: Path) -> None:
    cell = made_rows.cell(tmp_path, COS, targets=4, **said)
    record = play(replace(cell, data_hash=rows_of(cell).content), "cpu").record
    assert (record.status, record.reason) == ("ok", None)
    assert {"mode", "imputation", "classifier"} <= set(record.controls)
    assert ("noise" in record.controls) == ("controls" in said)
    assert any("a network predicts the third" in note for note in record.notes)


def test_what_is_no_answer_is_told(tmp_path: Path) -> None:
    seen = deal(made_rows.cell(tmp_path, COS, targets=1)).observations[0]
    assert "must be numbers" in str(seen.complaint(Guess(images=torch.zeros(0, 8, 1, 1))))
    assert "must have 3 finite probabilities" in str(seen.complaint(AttributeGuess(probabilities=(0.5, 0.5))))
    assert seen.complaint(seen.nothing("diverged")) is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"targets": 61}, "needs 61 people (61 from number 0 on), its rows held out are 60"),
        ({"batch_size": 61, "targets": 1}, "a round takes 61 rows"),
        ({"protocol": {"public": 181}}, "has 180 that are neither attacked nor trained on"),
        ({"model": {"name": "mlp"}}, "game update-attribute is played on a table; mlp(width=16) is not of that kind"),
        ({"defense": (part("defense", "ats"),)}, "ats acts at no stage of game update-attribute"),
        ({"dataset": part("dataset", "digits")}, "is played on a table; digits is not of that kind"),
        ({"protocol": {"name": "release"}}, "protocol release serves attribute, not game update-attribute"),
    ],
)
def test_cells_that_cannot_be_played_say_why(said: dict[str, Any], why: str, tmp_path: Path) -> None:
    assert why in str(why_unsupported(made_rows.cell(tmp_path, COS, **said)))


def test_a_network_of_rows_is_no_released_model_and_takes_no_pictures(tmp_path: Path) -> None:
    cell = made_rows.cell(tmp_path, COS)
    inversion = replace(
        cell, game="attribute", attack=part("attack", "map-inversion"), protocol=part("protocol", "release")
    )
    assert "table-mlp is a network, which shares updates" in str(why_unsupported(inversion))
    pictures = replace(cell, game="update", attack=part("attack", "analytic"), dataset=part("dataset", "digits"))
    assert "game update is played on images; table-mlp(width=16) is not of that kind" in str(why_unsupported(pictures))


def test_what_is_no_network_shares_no_updates(tmp_path: Path) -> None:
    cell = replace(made_rows.cell(tmp_path, COS), model=part("model", "ridge"))
    assert "ridge is no network: nobody shares updates of it" in str(why_unsupported(cell))
