"""Game `batch-property`: what a round is about, what crosses the wall, and which cells it refuses."""

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
from invbench.games._rows import rows_of
from invbench.games.batch_property import BatchPropertyDeal
from invbench.numbers.whole_cell import estimate
from invbench.observation import Guess, PropertyGuess
from invbench.play.asking import why_unsupported
from invbench.play.playing import play
from invbench.sheets import sheet_of

CLASSIFIER = {"name": "property-classifier", "batches": 10, "trees": 5}


def cell_of(folder: Path, protocol: dict[str, Any] | None = None, **said: Any) -> Cell:
    protocol = {"public": 150, "property_share": 0.5, **(protocol or {})}
    return made_rows.cell(folder, CLASSIFIER, protocol=protocol, **{"batch_size": 4, **said})


def deal(cell: Cell) -> BatchPropertyDeal:
    found = made_rows.dealt(cell)
    assert isinstance(found, BatchPropertyDeal)
    return found


@pytest.mark.parametrize("protocol", [{}, {"clients": 2}], ids=["one client", "two"])
def test_a_share_of_the_rows_has_the_value_asked_about_or_none_has(protocol: dict[str, Any], tmp_path: Path) -> None:
    played = deal(cell_of(tmp_path, protocol, targets=12))
    pool = rows_of(played.cell)
    for k, (seen, one) in enumerate(zip(played.observations, played.rounds, strict=True)):
        assert seen.asked == one.value == k % 3
        assert seen.values == GENES
        rows = one.batch.indexes.tolist()
        held = [pool.table.people[row]["gene"] == GENES[seen.asked] for row in rows]
        assert len(set(rows)) == len(rows) == seen.public.pictures
        assert sum(held) == (seen.holders if one.holds else 0)
        assert seen.holders == seen.public.pictures // 2
        assert not set(rows) & set(pool.train.tolist())
    assert {one.holds for one in played.rounds} == {True, False}
    holders = [
        [pool.table.people[row]["gene"] == GENES[one.value] for row in one.batch.indexes] for one in played.rounds
    ]
    assert len({tuple(held) for held in holders if any(held)}) > 1  # where they are in a batch says nothing


def test_the_attackers_own_rows_are_told_with_their_values_and_are_in_no_batch(tmp_path: Path) -> None:
    played = deal(cell_of(tmp_path, targets=6))
    pool, reference = rows_of(played.cell), played.observations[0].public.reference
    assert reference is not None
    assert len(reference) == len(played.observations[0].own_value) == 150
    places = [k for k, feature in enumerate(pool.columns.features) if feature.name == "gene"]
    assert torch.equal(reference.images[:, places, 0, 0].argmax(dim=1), played.observations[0].own_value)
    attacked = {tuple(row.tolist()) for one in played.rounds for row in one.batch.images[:, :, 0, 0]}
    own = reference.images * torch.tensor(pool.std).reshape(-1, 1, 1) + torch.tensor(pool.mean).reshape(-1, 1, 1)
    assert not attacked & {tuple(row.tolist()) for row in own[:, :, 0, 0]}


def test_a_round_does_not_depend_on_which_others_are_played(tmp_path: Path) -> None:
    cell = cell_of(tmp_path, targets=4)
    played, alone = deal(cell), deal(replace(cell, offset=3, targets=1))
    assert torch.equal(alone.observations[0].update[0], played.observations[3].update[0])
    assert [one.holds for one in deal(replace(cell, seed=1, targets=12)).rounds] != [
        one.holds for one in deal(replace(cell, targets=12)).rounds
    ]


@pytest.mark.parametrize("protocol", [{}, {"name": "fedavg", "steps": 2, "labels": "hidden"}], ids=["fedsgd", "fedavg"])
def test_it_is_played_from_end_to_end_and_few_rounds_have_no_area(protocol: dict[str, Any], tmp_path: Path) -> None:
    cell = cell_of(tmp_path, protocol, targets=9, controls=("labels", "noise"))
    record = play(replace(cell, data_hash=rows_of(cell).content), "cpu").record
    assert (record.status, record.reason) == ("ok", None)
    assert {"labels", "noise"} <= set(record.controls)
    area = sheet_of("batch-property").by_name["property_auc"].statistic
    assert area is not None
    assert estimate(area, record.scores).value is not None
    alone = {name: scores[:1] for name, scores in record.scores.items() if name in area.inputs}
    assert "needs members and non-members" in str(estimate(area, alone).why_empty)


def test_what_is_no_answer_is_told(tmp_path: Path) -> None:
    seen = deal(cell_of(tmp_path, targets=1)).observations[0]
    assert "must be a PropertyGuess, not Guess" in str(seen.complaint(Guess(images=torch.zeros(0, 8, 1, 1))))
    assert "its score must be a finite number, not nan" in str(seen.complaint(PropertyGuess(score=float("nan"))))
    assert seen.complaint(seen.nothing("diverged")) is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"protocol": {"public": 0}}, "needs rows of the attacker's own with the property and without"),
        ({"protocol": {"public": 8}}, "no value of gene is had by 2 of the people held out"),
        ({"batch_size": 61}, "a round takes 61 rows"),
        ({"defense": (part("defense", "ats"),)}, "ats acts at no stage of game batch-property"),
        ({"model": {"name": "mlp"}}, "game batch-property is played on a table; mlp(width=16) is not of that kind"),
    ],
)
def test_cells_that_cannot_be_played_say_why(said: dict[str, Any], why: str, tmp_path: Path) -> None:
    assert why in str(why_unsupported(cell_of(tmp_path, **said)))


def test_labels_are_counted_by_the_control_and_nothing_else(tmp_path: Path) -> None:
    played = deal(cell_of(tmp_path, {"property_share": 1.0}, targets=60, controls=("labels",), batch_size=8))
    found, members = played.controls()["labels"], np.array([one.holds for one in played.rounds])
    labels = [tuple(np.bincount(one.batch.labels, minlength=3)) for one in played.rounds]
    scores = [one for (one,) in found["score"]]
    by_counts = {(one.value, counts): score for one, counts, score in zip(played.rounds, labels, scores, strict=True)}
    assert all(
        by_counts[one.value, counts] == score for one, counts, score in zip(played.rounds, labels, scores, strict=True)
    )
    assert np.mean(np.array(scores)[members]) > np.mean(np.array(scores)[~members]) + 0.1  # a dose tells of a gene
