"""`kkt` finds training pictures in a small network's weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from invbench.attacks.kkt import KKT
from invbench.cell import Cell, Choice
from invbench.data.digits import Digits
from invbench.games import _few_pictures
from invbench.games.training_set import TrainingSet, TrainingSetDeal
from invbench.registry import load

CPU = torch.device("cpu")
SHORT = KKT(restarts=4, iterations=500)


def small(pictures: int = 6, **said: Any) -> Cell:
    """One network of width 100 on 6 pictures: half a second of training."""
    pool = Digits(labels="parity").load()
    protocol = load("protocol", "weights").settings({"pictures": pictures, "rate": 0.002, **said})
    model = load("model", "mlp").settings({"width": 100, "depth": 1})
    return Cell(
        game="training-set",
        attack=Choice("attack", "kkt", tuple(load("attack", "kkt").settings({}).items())),
        model=Choice("model", "mlp", tuple(model.items())),
        dataset=Choice("dataset", "digits", (("labels", "parity"),)),
        data_hash=pool.content,
        normalisation=pool.normalisation,
        batch_size=None,
        defense=None,
        protocol=Choice("protocol", "weights", tuple(protocol.items())),
        targets=1,
        offset=0,
        seed=0,
        controls=("mean", "drawn"),
    )


@pytest.fixture(scope="module")
def deal(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield TrainingSet().deal(small(), CPU)


def test_it_finds_most_training_pictures_beyond_its_controls_and_none_by_chance(deal: TrainingSetDeal) -> None:
    assert deal.notes == ()
    (seen,) = deal.observations
    guess = SHORT(replace(seen, generator=torch.Generator().manual_seed(0)))
    scores = deal.score([guess])
    assert deal.complaint(0, guess) is None
    assert scores["training_found"][0][0] >= 4
    assert scores["unseen_found"] == [[0.0]]
    for control in deal.controls().values():
        assert control["training_found"][0][0] <= 1


def test_the_same_draws_give_the_same_answer_and_others_another(deal: TrainingSetDeal) -> None:
    brief = KKT(restarts=2, iterations=5)
    (seen,) = deal.observations
    one, same, other = (
        brief(replace(seen, generator=torch.Generator().manual_seed(seed))).images for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one[: len(other)], other[: len(one)])


def test_an_answer_is_no_longer_than_what_counts(deal: TrainingSetDeal) -> None:
    (seen,) = deal.observations
    many = KKT(candidates=30, restarts=2, iterations=3)(seen)
    assert len(many.images) == seen.public.answers == 12


def test_weight_decay_and_the_start_are_told_apart_by_artefacts() -> None:
    names = {
        _few_pictures.training(small(**said), 0).name
        for said in ({}, {"decay": 1e-3}, {"start": 0.01}, {"start": None}, {"loss": 1e-6}, {"pictures": 8})
    }
    assert len(names) == 6


def test_a_network_before_its_training_gives_nothing_away() -> None:
    cell = small()
    (seen,) = TrainingSet().reruns(cell)["untrained"].observe(CPU)
    guess = SHORT(replace(seen, generator=torch.Generator().manual_seed(0)))
    (found,) = TrainingSet().deal(cell, CPU).score([guess])["training_found"]
    assert found[0] <= 1


def test_lanes_that_diverge_are_no_answer(deal: TrainingSetDeal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their pictures are not numbers: such an answer once ended the cell as failed."""
    (lost,) = KKT(restarts=2, iterations=2, rate=1e30, power=0).attack_all(deal.observations)
    assert len(lost.images) == 0
    assert lost.notes == ("every lane diverged",)
    search = KKT._search

    def one_diverges(self: KKT, network: Any, signs: Any, pictures: Any, *rest: Any) -> Any:
        misfit = search(self, network, signs, pictures, *rest)
        with torch.no_grad():
            pictures[1] = torch.nan
        return misfit

    monkeypatch.setattr(KKT, "_search", one_diverges)
    (answer,) = KKT(restarts=3, iterations=2).attack_all(deal.observations)
    assert answer.stopped == {"budget spent": 2, "diverged": 1}
    assert bool(answer.images.isfinite().all())
