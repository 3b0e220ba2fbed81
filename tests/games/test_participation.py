"""Game `participation`: what crosses the wall, what is drawn, and which cells it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_federations import federation_cell

from invbench.cell import Cell
from invbench.defenses._accountant import gaussian_epsilon
from invbench.games.participation import Participation, ParticipationDeal
from invbench.observation import Guess, ParticipationGuess
from invbench.play.asking import why_unsupported


def deal(cell: Cell) -> ParticipationDeal:
    return Participation().deal(cell, torch.device("cpu"))


def test_a_sum_is_that_of_the_updates_of_who_took_part_and_counts_are_of_windows(tmp_path: Path) -> None:
    played = deal(federation_cell(tmp_path, rounds=10, window=4, targets=2))
    for seen, of, rounds in zip(played.observations, played.attendances, played.rounds, strict=True):
        there = of.participation
        assert there.sum(axis=1).tolist() == [2] * 10
        assert torch.allclose(seen.sums, torch.from_numpy(there @ rounds.own).float(), atol=1e-6)
        assert seen.counts.tolist() == [there[a : a + 4].sum(axis=0).tolist() for a in (0, 4, 8)]
        assert seen.labels is not None
        assert seen.labels.tolist() == [[int(k)] for k in of.pictures[:, 0] % 3]
    one, other = played.attendances
    assert not set(one.pictures.ravel().tolist()) & set(other.pictures.ravel().tolist())
    assert not np.array_equal(one.order, other.order)


def test_targets_are_numbered_from_the_start_and_the_same_cell_gives_the_same_bits(tmp_path: Path) -> None:
    cell = federation_cell(tmp_path, defense=[{"name": "gaussian", "std": 0.1}], targets=2, rounds=4)
    both, second = deal(cell), deal(replace(cell, targets=1, offset=1))
    assert torch.equal(both.observations[1].sums, second.observations[0].sums)
    assert not torch.equal(both.observations[0].sums, both.observations[1].sums)


def test_batches_drawn_of_more_pictures_and_a_model_that_moves_change_an_update(tmp_path: Path) -> None:
    for said in ({"pictures": 2}, {"server_lr": 0.5}):
        played = deal(federation_cell(tmp_path, rounds=12, taking_part=1, **said))
        there, sums = played.attendances[0].participation, played.observations[0].sums
        own = [sums[there[:, client]] for client in range(6)]
        assert any(len(one) > 1 and bool((one - one[0]).norm(dim=1).max() > 1e-6) for one in own)
        means = [one.mean(dim=0).double().numpy() for one in own if len(one)]
        truth = [mean for mean, some in zip(played.rounds[0].own, there.any(axis=0), strict=True) if some]
        assert np.allclose(means, truth, atol=1e-6)


def test_clients_that_drop_out_or_collude_are_in_no_sum(tmp_path: Path) -> None:
    secure = [{"name": "secure-aggregation", "dropouts": 1, "colluding": 1, "threshold": 2}]
    played = deal(federation_cell(tmp_path, defense=secure, rounds=3, window=3, taking_part=4))
    assert played.observations[0].public.summed == 2
    there = played.attendances[0].participation
    assert there.sum(axis=1).tolist() == [2] * 3
    assert np.allclose(played.observations[0].sums, there @ played.rounds[0].own, atol=1e-3)


def test_fedavg_rounds_share_what_local_steps_change(tmp_path: Path) -> None:
    played = deal(federation_cell(tmp_path, rounds=3, steps=2, lr=0.05))
    assert played.observations[0].public.update_protocol == "fedavg"
    assert played.observations[0].public.of_one().protocol_settings["steps"] == 2


@pytest.mark.parametrize("rest", [{}, {"defense": [{"name": "per-example-clip", "norm": 1e9}]}])
def test_own_updates_are_those_without_defences(rest: dict[str, Any], tmp_path: Path) -> None:
    """A clip that never binds goes through every example's own gradient: the longer way to the same sums."""
    played = deal(federation_cell(tmp_path, rounds=3, **rest))
    there = played.attendances[0].participation
    assert np.allclose(played.observations[0].sums, there @ played.rounds[0].own, atol=1e-6)


@pytest.mark.parametrize("failed", [0, 1])
def test_an_attack_that_failed_on_a_federation_counts_there_as_having_read_nothing(failed: int, tmp_path: Path) -> None:
    """A mean over those on which it did not would flatter it."""
    played = deal(federation_cell(tmp_path, rounds=4, targets=2))
    pool, answers = played.pool, []
    for of, rounds in zip(played.attendances, played.rounds, strict=True):
        guesses = [Guess(images=torch.from_numpy(pool.unit(own)).float()) for own in of.pictures]
        known = {"updates": torch.from_numpy(rounds.own).float(), "guesses": tuple(guesses)}
        answers.append(ParticipationGuess(participation=torch.from_numpy(of.participation), **known))
    answers[failed] = played.observations[failed].nothing("diverged")
    scores = played.score(answers)
    assert set(scores) == {"rounds_right", "column_right", "update_error", "psnr"}
    assert max(error or 0.0 for error in scores["update_error"][1 - failed]) < 1e-6
    assert {error for error in scores["update_error"][failed] if error is not None} == {1.0}
    assert min(scores["psnr"][1 - failed]) > 99 > 30 > max(scores["psnr"][failed])


def test_what_is_no_answer_is_told(tmp_path: Path) -> None:
    seen = deal(federation_cell(tmp_path, rounds=4)).observations[0]
    there = torch.zeros(4, 6, dtype=torch.bool)
    picture = Guess(images=torch.zeros(1, 3, 16, 16))
    for answer, why in [
        (Guess(images=torch.zeros(0, 3, 16, 16)), "must be a ParticipationGuess, not Guess"),
        (ParticipationGuess(participation=there.float()), "must be a tensor of bool"),
        (ParticipationGuess(participation=there.T), "must be (4, 6), a row a round"),
        (ParticipationGuess(participation=there, updates=torch.zeros(6, 3)), "updates must be (6,"),
        (ParticipationGuess(participation=there, guesses=(picture,)), "guesses must be 6, one a client, not 1"),
        (ParticipationGuess(participation=there, guesses=(replace(picture, images=picture.images + 2),) * 6), "from 2"),
    ]:
        assert why in str(seen.complaint(answer))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"taking_part": 7}, "7 of 6 clients cannot take part"),
        ({"batch_size": 2, "pictures": 1}, "batches of 2 cannot be drawn of a client's 1 pictures"),
        ({"clients": 20}, "1 federations of 20 clients with 1 pictures each need 20 pictures; the target pool has 12"),
        ({"rounds": 1_000_000}, "at most 268,435,456"),
        ({"defense": [{"name": "round", "step": 0.1}]}, "acts at no stage of game participation"),
        ({"defense": [{"name": "secure-aggregation", "threshold": 3}]}, "fewer are left than its threshold 3"),
    ],
)
def test_what_cannot_be_played_says_why(said: dict[str, Any], why: str, tmp_path: Path) -> None:
    assert why in str(why_unsupported(federation_cell(tmp_path, **said)))


def test_epsilon_is_of_the_client_that_takes_part_most_often(tmp_path: Path) -> None:
    """Gaussian noise composes exactly: N rounds at std s are one at s / sqrt(N)."""
    stack = [[{"name": "clip", "norm": 0.5}, {"name": "gaussian", "std": 4.0}]]
    played = deal(federation_cell(tmp_path, defense=stack, targets=2))
    most = max(int(of.participation.sum(axis=0).max()) for of in played.attendances)
    wanted = gaussian_epsilon(most**0.5 / 4.0, 1e-5)
    assert played.limits() == {"epsilon": [[pytest.approx(wanted)]] * 2}
    assert any(f"epsilon is of a client in {most} of 24 rounds" in note for note in played.notes)
    bare = deal(federation_cell(tmp_path, defense=[{"name": "gaussian", "std": 4.0}]))
    assert not bare.limits()
    assert any("no epsilon: gaussian has none by itself" in note for note in bare.notes)
