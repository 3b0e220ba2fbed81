"""Game `training-set`: who is trained on what, what crosses the wall, and how answers are counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from invbench import matrix
from invbench.cell import Cell, Choice
from invbench.games.training_set import TrainingSet, TrainingSetDeal
from invbench.observation import TrainingSetGuess
from invbench.play.asking import why_unsupported

CPU = torch.device("cpu")
SHORT = {"pictures": 6, "steps": 3}


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def cell(folder: Path, **said: Any) -> Cell:
    """Two networks of width 20 on 6 pictures each, trained for 3 steps."""
    protocol = {"name": "weights", **SHORT, **said.pop("protocol", {})}
    model = {"name": "mlp", "width": 20, "depth": 1, **said.pop("model", {})}
    text = {
        "dataset": said.pop("dataset", {"name": "digits", "labels": "parity"}),
        "targets": 2,
        **said,
        "grid": {"attack": ["kkt"], "model": [model], "protocol": [protocol]},
    }
    (folder / "m.yaml").write_text(yaml.safe_dump(text))
    (only,) = matrix.load(folder / "m.yaml", []).cells
    return only


@pytest.fixture
def deal(tmp_path: Path) -> TrainingSetDeal:
    return TrainingSet().deal(cell(tmp_path), CPU)


def guesses(deal: TrainingSetDeal, which: str) -> list[TrainingSetGuess]:
    """As answers the very pictures trained on, or never seen."""
    places = [getattr(parts, which) for parts in deal.splits]
    return [TrainingSetGuess(images=torch.from_numpy(deal.pool.unit(some))) for some in places]


def test_half_of_each_class_is_trained_on_and_nothing_is_both_seen_and_unseen(deal: TrainingSetDeal) -> None:
    for parts in deal.splits:
        assert deal.pool.labels[parts.seen].tolist() == deal.pool.labels[parts.unseen].tolist() == [0] * 3 + [1] * 3
        assert len({*parts.seen.tolist(), *parts.unseen.tolist()}) == 12
    assert set(deal.splits[0].seen.tolist()) != set(deal.splits[1].seen.tolist())


def test_a_network_is_that_of_its_number_whatever_else_is_dealt(tmp_path: Path, deal: TrainingSetDeal) -> None:
    late = TrainingSet().deal(cell(tmp_path, offset=1, targets=1), CPU)
    assert late.splits[0].seen.tolist() == deal.splits[1].seen.tolist()
    one, two = (seen.model.state_dict() for seen in (late.observations[0], deal.observations[1]))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert late.observations[0].generator.initial_seed() == deal.observations[1].generator.initial_seed()


def test_training_pictures_count_for_themselves_and_unseen_ones_for_chance(deal: TrainingSetDeal) -> None:
    seen, unseen = deal.score(guesses(deal, "seen")), deal.score(guesses(deal, "unseen"))
    assert (seen["training_found"], seen["unseen_found"]) == ([[6.0]] * 2, [[0.0]] * 2)
    assert (unseen["training_found"], unseen["unseen_found"]) == ([[0.0]] * 2, [[6.0]] * 2)
    assert seen["psnr"] == [[100.0] * 6] * 2
    nothing = deal.score([TrainingSetGuess(images=torch.zeros(0, 1, 8, 8))] * 2)
    assert (unseen["psnr"], unseen["ssim"]) == (nothing["psnr"], nothing["ssim"])
    assert all(5 < value < 20 for values in nothing["psnr"] for value in values if value is not None)
    assert not [value for values in nothing["psnr"] for value in values if value is None], "no mean over survivors"


def test_one_picture_answered_often_is_found_once(deal: TrainingSetDeal) -> None:
    repeated = [TrainingSetGuess(images=guess.images[:1].repeat(12, 1, 1, 1)) for guess in guesses(deal, "seen")]
    assert deal.score(repeated)["training_found"] == [[1.0]] * 2


def test_an_answer_that_is_nearer_to_another_picture_finds_nothing(deal: TrainingSetDeal) -> None:
    others = [np.setdiff1d(np.arange(1797), parts.seen)[:12] for parts in deal.splits]
    given = [TrainingSetGuess(images=torch.from_numpy(deal.pool.unit(some))) for some in others]
    assert deal.score(given)["training_found"] == [[0.0]] * 2


def test_no_answer_and_flat_answers_find_nothing(deal: TrainingSetDeal) -> None:
    nothing = [seen.nothing("none") for seen in deal.observations]
    assert deal.score(nothing)["training_found"] == [[0.0]] * 2
    assert deal.files(nothing, deal.score(nothing), {}) == {}


def test_controls_hold_the_mean_picture_and_as_many_drawn_ones_as_count(deal: TrainingSetDeal) -> None:
    controls = deal.controls()
    assert controls["mean"]["training_found"] == [[0.0]] * 2
    assert set(controls) == {"mean", "drawn"}
    everything = replace(deal, cell=replace(deal.cell, protocol=_protocol(deal.cell, answers=1797)))
    assert everything.controls()["drawn"]["training_found"] == [[6.0]] * 2  # who holds all pictures names all members


def test_more_answers_than_count_are_no_answer(deal: TrainingSetDeal) -> None:
    most = TrainingSetGuess(images=torch.rand(12, 1, 8, 8))
    more = TrainingSetGuess(images=torch.rand(13, 1, 8, 8))
    assert deal.complaint(0, most) is None
    assert "13 pictures" in str(deal.complaint(0, more))
    assert "at most 12" in str(deal.complaint(0, more))


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (torch.full((1, 1, 8, 8), torch.nan), "not finite"),
        (torch.full((1, 1, 8, 8), 2.0), "go from 2 to 2"),
        (torch.zeros(1, 8, 8), "must be (N, 1, 8, 8)"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.int64), "floats"),
    ],
)
def test_what_is_no_picture_is_no_answer(deal: TrainingSetDeal, images: torch.Tensor, told: str) -> None:
    assert told in str(deal.complaint(0, TrainingSetGuess(images=images)))


def test_the_picture_of_a_cell_shows_what_was_found(deal: TrainingSetDeal) -> None:
    given = guesses(deal, "seen")
    assert deal.files(given, deal.score(given), {})["grid.png"].startswith(b"\x89PNG")


def test_training_that_its_steps_ended_is_noted(deal: TrainingSetDeal) -> None:
    assert any("training ended by its steps" in note for note in deal.notes)


def test_the_attacker_gets_a_centre_that_no_training_picture_is_part_of(deal: TrainingSetDeal) -> None:
    for seen, parts in zip(deal.observations, deal.splits, strict=True):
        others = np.setdiff1d(np.arange(1797), parts.seen)
        assert np.allclose(seen.centre.numpy(), deal.pool.unit(others).mean(axis=0, dtype=np.float64))


def test_the_rerun_sees_the_networks_before_training(tmp_path: Path, deal: TrainingSetDeal) -> None:
    before = TrainingSet().reruns(deal.cell)["untrained"].observe(CPU)
    for first, then in zip(before, deal.observations, strict=True):
        weight, trained = (one.model.state_dict()["1.weight"] for one in (first, then))
        assert weight.std().item() == pytest.approx(0.003, rel=0.1)
        assert not torch.equal(weight, trained)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"dataset": "digits"}, "labels: parity"),
        ({"model": {"depth": 2}}, "one hidden layer"),
        ({"model": {"activation": "tanh"}}, "one hidden layer of ReLU"),
        ({"model": {"trained": True}}, "leave `trained` out"),
        ({"protocol": {"pictures": 1000}}, "needs 1000 pictures of each class"),
    ],
)
def test_what_cannot_be_played_is_said(tmp_path: Path, said: dict[str, Any], why: str) -> None:
    assert why in str(why_unsupported(cell(tmp_path, **said)))


def test_an_odd_number_of_pictures_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(matrix.MatrixErrors, match=r"m\.yaml:\d+:\d+: weights: pictures must be an even number"):
        cell(tmp_path, protocol={"pictures": 7})


def _protocol(of: Cell, **changed: Any) -> Choice:
    assert of.protocol is not None
    return replace(of.protocol, settings=tuple({**dict(of.protocol.settings), **changed}.items()))
