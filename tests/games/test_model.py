"""Game `model`: what is granted, what is counted, how answers are scored, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_models import trained
from PIL import Image
from small_cells import crops, make_cell, make_cells, write_pool

from invbench.cell import Cell
from invbench.games.model import ModelDeal, ModelGame
from invbench.matrix import MatrixErrors
from invbench.metrics import class_found
from invbench.models.linear import Linear
from invbench.models.mlp import MLP
from invbench.observation import Inversion, Oracle, QueriesSpent
from invbench.play.asking import why_unsupported
from invbench.play.playing import play
from invbench.protocol.black_box import BlackBox
from invbench.victims import pool_of, trained_victim, victim
from invbench.victims.classes import always_trained, class_means, classifier_cell
from invbench.victims.shuffled import shuffled_victim

BRIEF = {"name": "linear", "training_steps": 150}
BLACK = {"name": "black-box", "queries": 100}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for all of these tests: victims are trained once."""
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "model-game"))


def cell(folder: Path, **said: Any) -> Cell:
    given = {"dataset": "digits", "attack": "mi-face", "model": BRIEF, "targets": 10}
    return make_cell(folder, **given | said)


def dealt(folder: Path, **said: Any) -> ModelDeal:
    return ModelGame().deal(cell(folder, **said), torch.device("cpu"))


def answer(image: Any) -> Inversion:
    return Inversion(image=torch.as_tensor(image, dtype=torch.float32))


def test_white_box_grants_weights_of_a_trained_model_and_black_box_an_oracle(tmp_path: Path) -> None:
    open_, closed = dealt(tmp_path), dealt(tmp_path, attack="steal", protocol=BLACK)
    for seen in open_.observations:
        assert seen.model is not None
        assert seen.oracle is None
    for seen in closed.observations:
        assert seen.model is None
        assert seen.oracle is not None
    assert [seen.target for seen in open_.observations] == list(range(10))
    first, second = open_.observations[:2]
    assert first.model is not second.model is not open_.victim.network
    error = open_.limits()["validation_error"][0][0]
    assert error is not None
    assert error < 0.25  # trained, though the matrix does not say so
    assert why_unsupported(cell(tmp_path, offset=7, targets=3)) is None


def test_the_oracle_counts_pictures_and_answers_none_beyond_its_budget(tmp_path: Path) -> None:
    [seen, other] = dealt(tmp_path, attack="steal", protocol=BLACK, targets=2).observations
    oracle = seen.oracle
    assert oracle is not None
    told = oracle(torch.rand(60, 1, 8, 8))
    assert told.shape == (60, 10)
    assert torch.allclose(told.sum(dim=1), torch.ones(60))
    with pytest.raises(QueriesSpent, match="41 queries asked, 40 of 100 left"):
        oracle(torch.rand(41, 1, 8, 8))
    assert (oracle.asked, oracle.left) == (60, 40)
    oracle(torch.rand(40, 1, 8, 8))
    with pytest.raises(QueriesSpent):
        oracle(torch.rand(1, 1, 8, 8))
    assert other.oracle is not None
    assert other.oracle.asked == 0


def test_answers_pass_the_defences_and_labels_are_whole_numbers(tmp_path: Path) -> None:
    pictures = torch.rand(50, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def told(**said: Any) -> torch.Tensor:
        oracle = dealt(tmp_path, attack="steal", targets=1, **said).observations[0].oracle
        assert isinstance(oracle, Oracle)
        return oracle(pictures)

    plain = told(protocol=BLACK)
    rounded = told(protocol=BLACK, defense=[{"name": "round", "step": 0.25}])
    assert set(rounded.unique().tolist()) <= {0, 0.25, 0.5, 0.75, 1}
    assert (plain - rounded).abs().max() <= 0.126
    labels = told(protocol=BLACK | {"answers": "label"})
    assert labels.tolist() == plain.argmax(dim=1).tolist()
    assert labels.dtype == torch.int64
    assert BlackBox().queries == 50_000


def test_class_means_are_found_everywhere_and_the_mean_of_all_is_at_chance(tmp_path: Path) -> None:
    played = dealt(tmp_path)
    scores = played.score([answer(mean) for mean in class_means(played.pool)])
    assert scores["class_found"] == [[1.0]] * 10
    assert np.mean(scores["class_found_by_classifier"]) >= 0.8
    assert scores["psnr_to_mean"] == [[100.0]] * 10
    assert all(value < 25 for [value] in scores["psnr_to_nearest"] if value is not None)
    control = played.controls()["mean"]
    assert sum(value or 0 for [value] in control["class_found"]) <= 1
    assert control.keys() == scores.keys()
    assert not dealt(tmp_path, controls=["shuffled"]).controls()


def test_training_pictures_themselves_are_nearer_to_a_picture_than_to_the_mean(tmp_path: Path) -> None:
    played = dealt(tmp_path)
    pool = played.pool
    first = [pool.train[pool.labels[pool.train] == k][0] for k in range(10)]
    scores = played.score([answer(image) for image in pool.unit(first)])
    assert scores["psnr_to_nearest"] == [[100.0]] * 10
    assert all(value < 30 for [value] in scores["psnr_to_mean"] if value is not None)


def test_a_missing_answer_is_scored_as_the_control_mean(tmp_path: Path) -> None:
    played = dealt(tmp_path)
    assert played.score([seen.nothing("no") for seen in played.observations]) == played.controls()["mean"]


def test_an_answer_that_is_none_is_complained_of(tmp_path: Path) -> None:
    seen = dealt(tmp_path, targets=1).observations[0]
    assert seen.complaint(answer(torch.zeros(1, 8, 8))) is None
    assert seen.complaint(seen.nothing("no")) is None
    for image, words in ((torch.zeros(8, 8), "(1, 8, 8), not (8, 8)"), (torch.full((1, 8, 8), 2.0), "from 0 to 1")):
        assert words in str(seen.complaint(answer(image)))
    assert "not finite" in str(seen.complaint(answer(torch.full((1, 8, 8), torch.nan))))
    assert "must be an Inversion" in str(seen.complaint(3))
    stolen = Inversion(image=torch.zeros(1, 8, 8), weights={"1.weight": torch.zeros(3)})
    assert "weights: '1.weight' is (3,)" in str(seen.complaint(stolen))


def test_shuffled_labels_train_another_model_to_the_same_number_of_pictures(tmp_path: Path) -> None:
    made = cell(tmp_path, model=BRIEF)
    network = shuffled_victim(always_trained(made))
    right = victim(always_trained(made))
    played = ModelGame().deal(made, torch.device("cpu"))
    images = torch.from_numpy(played.pool.unit(played.pool.trained_targets))
    shape = (played.victim.mean, played.victim.std)
    wrong = [
        float((n((images - shape[0]) / shape[1]).argmax(1).numpy() != played.pool.labels[:540]).mean())
        for n in (right, network)
    ]
    assert wrong[0] < 0.25
    assert wrong[1] > 0.75


def test_the_record_says_how_a_defence_trained_the_model(tmp_path: Path) -> None:
    defended = [[{"name": "early-stopping", "fraction": 0.1}, {"name": "dp-sgd", "noise": 0.0}, "label-smoothing"]]
    private, plain = dealt(tmp_path, model=BRIEF, defense=defended, targets=1), dealt(tmp_path, model=BRIEF, targets=1)
    told = " ".join(private.notes)
    assert "trained for 15 steps" in told
    assert "dp-sgd: 15 steps, q = 32/1257" in told
    assert "dp-sgd" not in " ".join(plain.notes)
    assert private.limits()["validation_error"] != plain.limits()["validation_error"]


def test_the_classifier_is_another_network_whatever_the_seed(tmp_path: Path) -> None:
    one, other = (classifier_cell(cell(tmp_path, seed=seed)) for seed in (0, 1))
    assert one == other
    assert (one.model.name, one.defense) == ("mlp", ())


OTHERS = {"name": "white-box", "public": "other-classes"}


def test_the_attacker_s_own_classes_are_his_and_nobody_trains_on_them(tmp_path: Path) -> None:
    made = cell(tmp_path, targets=5, protocol=OTHERS)
    played = ModelGame().deal(made, torch.device("cpu"))
    public = played.observations[0].public
    reference = public.reference
    assert reference is not None
    labels, pool = pool_of(made).labels, played.pool
    assert len(reference) == int((labels >= 5).sum())
    assert public.known_classes == 5
    assert set(labels[pool.train]) == set(labels[pool.trained_targets]) == set(range(5))
    assert {tuple(one.ravel()) for one in pool.unit(pool.train)}.isdisjoint(
        {tuple(one.ravel()) for one in reference.numpy()}
    )
    answers = played.victim(torch.from_numpy(pool_of(made).unit(np.flatnonzero(labels >= 5)))).argmax(dim=1)
    assert int((answers >= 5).sum()) == 0  # it has never seen them
    assert any("chance finds 1 class in 5" in note for note in played.notes)
    assert np.isnan(class_means(pool)[5:]).all()
    shuffled = ModelGame().reruns(made)["shuffled"].needs[0]
    assert shuffled.name != ModelGame().reruns(cell(tmp_path, targets=5))["shuffled"].needs[0].name


def test_without_pictures_of_his_own_a_cell_is_the_one_that_it_was(tmp_path: Path) -> None:
    plain = cell(tmp_path)
    named = cell(tmp_path, protocol={"name": "white-box", "public": "none"})
    assert plain.id == named.id != cell(tmp_path, targets=5, protocol=OTHERS).id
    assert ModelGame().public(plain).reference is None
    assert ModelGame().artefacts(plain)[0].name == trained_victim(always_trained(plain)).name


def test_an_attack_s_generator_is_prepared_and_its_cell_is_played(tmp_path: Path) -> None:
    attack = {"name": "generator-inversion", "iterations": 20, "training_steps": 60, "latent": 6, "hidden": 30}
    played = play(cell(tmp_path, attack=attack, targets=5, protocol=OTHERS, controls=["mean"]), "cpu").record
    assert (played.status, played.reason) == ("ok", None)
    assert len(played.scores["class_found"]) == 5


def test_a_cell_is_played_with_its_controls_notes_and_picture(tmp_path: Path) -> None:
    played = play(cell(tmp_path, attack={"name": "mi-face", "iterations": 200}), "cpu")
    record = played.record
    assert (record.status, record.reason) == ("ok", None)
    found = np.mean([value for [value] in record.scores["class_found"] if value is not None])
    shuffled = np.mean([value for [value] in record.controls["shuffled"]["class_found"] if value is not None])
    assert found >= 0.9
    assert shuffled <= 0.4
    assert record.controls.keys() == {"mean", "shuffled"}
    assert any("chance finds 1 class in 10" in note for note in record.notes)
    assert any("separate classifier (mlp) errs on" in note for note in record.notes)
    with Image.open(io.BytesIO(played.files["grid.png"])) as image:
        assert image.height > 2 * 4 * (96 + 18), "two rows of classes, each with the control's answers below"
    assert played.arrays is not None
    assert played.arrays["answers"].shape == (10, 1, 8, 8)
    pictures = played.arrays["answers"].astype(np.float64)
    assert class_found(pictures, played.arrays["classes"], pictures).all()


def test_stolen_weights_are_scored_and_a_spent_budget_is_noted(tmp_path: Path) -> None:
    steal = play(
        cell(tmp_path, attack={"name": "steal", "iterations": 20}, protocol=BLACK, controls=["mean"]), "cpu"
    ).record
    assert max(value for [value] in steal.scores["weight_error"] if value is not None) < 1e-3
    asking = play(cell(tmp_path, attack="query-inversion", protocol=BLACK, controls=["mean"]), "cpu").record
    assert "weight_error" not in asking.scores
    assert any("budget of queries was spent" in note for note in asking.notes)
    assert max(asking.evaluations) <= 100


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"targets": 11}, "11 classes are asked; digits has 10"),
        ({"offset": 5}, "10 classes from class 5 on are asked"),
        ({"targets": 6, "protocol": OTHERS}, "6 classes are asked; digits has 5 beside 5 that are the attacker's own"),
        ({"attack": "generator-inversion"}, "give the protocol public: other-classes"),
        ({"defense": [{"name": "round"}]}, "name protocol black-box"),
        ({"defense": [{"name": "clip", "norm": 1.0}]}, "defence clip acts at no stage of game model"),
        ({"model": "resnet20", "defense": [{"name": "dp-sgd"}]}, "defence dp-sgd: clips each example's own gradient"),
        (
            {"model": "autoencoder", "defense": [{"name": "dp-sgd"}]},
            "autoencoder is pretrained on the same pictures first",
        ),
        ({"model": {"name": "convnet"}}, "needs pictures of at least 9 x 9 pixels"),
        ({"model": "iwpc"}, "iwpc is not of that kind"),
        ({"protocol": "fedsgd"}, "protocol fedsgd serves update"),
    ],
)
def test_what_cannot_be_played_is_said(said: dict[str, Any], words: str, tmp_path: Path) -> None:
    assert words in str(why_unsupported(cell(tmp_path, **said)))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0] * 6 + [1] * 5 + [2], "class 2 of npz(path=pool.npz) has one picture"),
        ([0] * 6 + [1] * 6, "3 classes are asked; npz(path=pool.npz) has 2"),
        ([0] * 6 + [2] * 6, "class 1 of npz(path=pool.npz) is not trained on: it has no pictures"),
        ([0] * 12, "has one class, of which every model is certain"),
        (list(range(12)), "has no pictures that a model trains on"),
    ],
)
def test_a_class_of_one_picture_or_none_is_refused(labels: list[int], words: str, tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.npz", crops(12), np.array(labels))
    made = make_cell(tmp_path, attack="mi-face", model="linear", targets=3)
    assert words in str(why_unsupported(made))


def test_a_budget_of_nothing_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(MatrixErrors, match="queries must be at least 1, not 0"):
        make_cells(
            tmp_path, dataset="digits", attack="steal", model="linear", protocol={"name": "black-box", "queries": 0}
        )


@pytest.mark.parametrize("activation", ["sigmoid", "relu", "tanh"])
def test_an_mlp_bends_and_softmax_regression_does_not(activation: Any) -> None:
    """The known bug: an "MLP" with no non-linearity is softmax regression."""
    a, b = torch.randn(2, 5, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def bend(network: torch.nn.Module) -> float:
        """How far from affine: f(a + b) + f(0) - f(a) - f(b)."""
        with torch.no_grad():
            parts = network(torch.cat([a + b, torch.zeros_like(a), a, b])).chunk(4)
        return float((parts[0] + parts[1] - parts[2] - parts[3]).abs().max())

    assert bend(trained(Linear(), steps=50)) < 1e-4
    assert bend(trained(MLP(width=30, depth=1, activation=activation), steps=50)) > 1e-2
