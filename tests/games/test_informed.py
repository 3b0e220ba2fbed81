"""Game `informed`: what crosses the wall, what a target's draws depend on, what is kept, and which cells it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_informed import informed_cell

from invbench.cell import Cell
from invbench.games.informed import Informed, InformedDeal
from invbench.observation import InformedGuess
from invbench.play.asking import why_unsupported

NOISY = "{name: dp-sgd, noise: 9.5, batch: 4}"


def deal(cell: Cell) -> InformedDeal:
    return Informed().deal(cell, torch.device("cpu"))


def test_the_attacker_sees_every_step_and_not_whether_the_secret_took_part(tmp_path: Path) -> None:
    played = deal(informed_cell(tmp_path, NOISY, steps=6, others=5, candidates=4))
    for seen, of in zip(played.observations, played.decks, strict=True):
        assert len(seen.gradients) == 6
        assert seen.present.shape == (6, 5)
        assert 0 < int(seen.present.sum()) < 30, "Poisson batches of 4 of 6"
        assert (len(seen.others), len(seen.candidates)) == (5, 4)
        assert not set(of.candidates.tolist()) & set(of.others.tolist())
        assert [tensor.shape for tensor in seen.gradients[0]] == [p.shape for p in seen.model.parameters()]
    secrets = {of.secret for of in deal(informed_cell(tmp_path, "none", targets=24, steps=1)).decks}
    assert secrets == set(range(8)), "any of the candidates may be the secret one"


def test_targets_are_numbered_from_the_start_and_seeds_draw_others(tmp_path: Path) -> None:
    first, again = (deal(informed_cell(tmp_path, NOISY, steps=2)) for _ in range(2))
    assert all(
        torch.equal(a, b)
        for one, other in zip(first.observations, again.observations, strict=True)
        for steps in zip(one.gradients, other.gradients, strict=True)
        for a, b in zip(*steps, strict=True)
    )
    assert not np.array_equal(first.decks[0].others, first.decks[1].others)


def test_limits_stand_beside_what_was_matched(tmp_path: Path) -> None:
    pytest.importorskip("opacus")
    played = deal(informed_cell(tmp_path, "{name: dp-sgd, noise: 9.5}", targets=1, steps=100, others=2))
    limits = played.limits()
    assert limits["limit_rero"] == [[pytest.approx(0.461078, abs=1e-6)]]
    assert limits["epsilon"] == [[pytest.approx(5.016, abs=1e-3)]]
    assert any(note == "limit_rero 0.4611 with a prior of 1/8" for note in played.notes)
    assert deal(informed_cell(tmp_path, "none", steps=1)).limits() == {}


def test_a_tie_counts_against_the_attack_and_a_blind_guess_finds_one_in_so_many(tmp_path: Path) -> None:
    played = deal(informed_cell(tmp_path, "none", steps=1))
    flat = [InformedGuess(scores=torch.zeros(8)) for _ in played.observations]
    assert played.score(flat) == {"matched": [[0.0]] * 3}
    assert played.controls() == {"blind": {"matched": [[0.125]] * 3}}
    assert "scores must be (8,)" in str(played.complaint(0, InformedGuess(scores=torch.zeros(7))))
    assert "not finite" in str(played.complaint(0, InformedGuess(scores=torch.full((8,), float("nan")))))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"others": 2000}, "8 candidates and 2000 others are 2008 pictures; there are"),
        ({"defense": "{name: gaussian, std: 1}"}, "defence gaussian acts at no stage of game informed"),
        ({"defense": "{name: dp-sgd, rounds: 1}"}, "defence dp-sgd acts at no stage of game informed"),
        ({"defense": "{name: dp-sgd, batch: 17}"}, "batches of 17 on average, but there are 16 training examples"),
        ({"model": "resnet20", "defense": "dp-sgd"}, "mixes a batch's examples"),
        ({"model": "{name: lenet, trained: true}"}, "leave `trained` out"),
    ],
)
def test_what_cannot_be_played_says_why(tmp_path: Path, said: dict[str, object], why: str) -> None:
    asked = {"defense": "none", **said}
    assert why in str(why_unsupported(informed_cell(tmp_path, **asked)))  # type: ignore[arg-type]
