"""Game `batch-membership`: what crosses the wall, who is asked about, and which cells it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_cells import MLP, crops, make_cell, write_pool

from invbench.cell import Cell
from invbench.games._asked import own_pictures
from invbench.games.batch_membership import BatchMembership, BatchMembershipDeal
from invbench.numbers.whole_cell import estimate
from invbench.observation import Guess, MembershipGuess
from invbench.play.asking import why_unsupported
from invbench.play.playing import play
from invbench.sheets import sheet_of
from invbench.updates.simulation import simulate


def cell_of(folder: Path, protocol: Any = "fedsgd", **said: Any) -> Cell:
    return make_cell(folder, **{"attack": "gradient-alignment", "batch_size": 2, "protocol": protocol, **said})


def deal(cell: Cell) -> BatchMembershipDeal:
    return BatchMembership().deal(cell, torch.device("cpu"))


def test_half_of_the_candidates_are_behind_the_update_and_their_order_does_not_say_which(tmp_path: Path) -> None:
    played = deal(cell_of(tmp_path, targets=3))
    orders = set()
    for seen, of in zip(played.observations, played.asked, strict=True):
        assert of.member.sum() == 2
        assert len(set(of.candidates.tolist())) == 4
        own = [k for k, index in enumerate(of.candidates) if of.member[k]]
        images, labels = seen.candidates.images[own], seen.candidates.labels[own]
        expected = simulate(seen.public, seen.model, images, labels)
        for sent, mean in zip(seen.update, expected, strict=True):
            torch.testing.assert_close(sent, mean, atol=1e-6, rtol=1e-4)
        assert seen.labels is not None
        assert sorted(seen.labels.tolist()) == sorted(labels.tolist())
        orders.add(tuple(of.member.tolist()))
    assert len(orders) > 1


def test_rounds_share_no_picture_until_all_were_asked_about_and_none_is_the_attackers_own(tmp_path: Path) -> None:
    played = deal(cell_of(tmp_path, {"name": "fedsgd", "public": 4}, targets=3))
    first, second, third = (set(of.candidates.tolist()) for of in played.asked)
    own = set(own_pictures(played.cell).tolist())
    assert len(own) == 4
    assert not first & second
    assert third <= first | second
    assert not own & (first | second)
    reference = played.observations[0].public.reference
    assert reference is not None
    assert len(reference) == 4
    assert any("asked about in several rounds" in note for note in played.notes)
    alone = deal(replace(played.cell, targets=1, offset=2))
    assert set(alone.asked[0].candidates.tolist()) == third
    assert torch.equal(alone.observations[0].update[0], played.observations[2].update[0])


def test_copies_are_asked_about_once_and_other_seeds_are_other_rounds(tmp_path: Path) -> None:
    images = crops(12)
    images[6:] = images[:6]
    write_pool(tmp_path / "pool.npz", images)
    one = deal(cell_of(tmp_path, batch_size=1))
    assert set(np.concatenate([of.candidates for of in one.asked]).tolist()) <= set(range(6))
    other = deal(replace(one.cell, seed=1))
    assert [of.candidates.tolist() for of in one.asked] != [of.candidates.tolist() for of in other.asked]


def test_the_control_counts_labels_and_nothing_else(tmp_path: Path) -> None:
    played = deal(cell_of(tmp_path, controls=["labels"]))
    found = played.controls()["labels"]
    for seen, of, scores in zip(played.observations, played.asked, found["score"], strict=True):
        labels = seen.candidates.labels.numpy()
        assert scores == [float((labels[of.member] == label).sum()) for label in labels]
    assert found["member"] == [of.member.astype(float).tolist() for of in played.asked]


def test_of_several_clients_those_are_members_whom_the_server_sees(tmp_path: Path) -> None:
    secure = [{"name": "secure-aggregation", "dropouts": 1, "threshold": 2}]
    played = deal(cell_of(tmp_path, {"name": "fedsgd", "clients": 3}, batch_size=1, defense=secure))
    for seen, of in zip(played.observations, played.asked, strict=True):
        assert (len(of.batch), len(seen.candidates), int(of.member.sum())) == (3, 4, 2)
        assert of.batch[2] not in of.candidates


@pytest.mark.parametrize("protocol", ["fedsgd", {"name": "fedavg", "steps": 2}, {"name": "fedsgd", "labels": "hidden"}])
def test_every_protocol_of_updates_serves_it_and_intervals_draw_rounds(protocol: Any, tmp_path: Path) -> None:
    record = play(cell_of(tmp_path, protocol, batch_size=1, targets=4, controls=["labels", "noise"]), "cpu").record
    assert (record.status, record.reason) == ("ok", None)
    assert {"labels", "noise"} <= set(record.controls)
    area, rate, rare = (sheet_of("batch-membership").by_name[name].statistic for name in COLUMNS)
    assert area is not None
    assert rate is not None
    assert rare is not None
    assert estimate(area, record.scores).units == 4
    assert "needs at least 100 non-members, there are 4" in str(estimate(rate, record.scores).why_empty)
    assert estimate(rare, record.scores).value is None


COLUMNS = ("round_auc", "round_tpr_at_fpr_0.01", "round_tpr_at_fpr_0.001")


def test_what_is_no_answer_is_told(tmp_path: Path) -> None:
    seen = deal(cell_of(tmp_path)).observations[0]
    assert "must be a MembershipGuess, not Guess" in str(seen.complaint(Guess(images=torch.zeros(0, 3, 16, 16))))
    assert "scores must be (4,)" in str(seen.complaint(MembershipGuess(scores=torch.zeros(3))))
    assert seen.complaint(seen.nothing("diverged")) is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"batch_size": 7}, "a round asks about 14 pictures; npz(path=pool.npz) has 12 different ones"),
        ({"protocol": {"name": "fedsgd", "public": 9}}, "has 3 different ones beside 9 public ones"),
        ({"protocol": {"name": "fedsgd", "public": 13}}, "public: 13 pictures; npz(path=pool.npz) has 12"),
        ({"defense": [{"name": "round", "step": 0.1}]}, "acts at no stage of game batch-membership"),
        ({"protocol": "released"}, "protocol released serves membership, not game batch-membership"),
    ],
)
def test_cells_that_cannot_be_played_say_why(said: dict[str, Any], why: str, tmp_path: Path) -> None:
    assert why in str(why_unsupported(cell_of(tmp_path, **said)))


def test_a_trained_victim_saw_neither_candidates_nor_the_attackers_own(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.npz", crops(40))
    model = {**MLP, "trained": True, "training_steps": 2}
    played = deal(cell_of(tmp_path, {"name": "fedsgd", "public": 4}, model=model, batch_size=1))
    apart = set(own_pictures(played.cell).tolist()) | {k for of in played.asked for k in of.candidates.tolist()}
    assert not apart & set(played.pool.train.tolist())
