"""Attack `query-inversion`: a class drawn by asking alone, within the budget."""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import Any

import numpy as np
import pytest
import torch
from made_models import asked, class_means, confidence, public, trained

from invbench.attacks.query_inversion import SPENT, QueryInversion
from invbench.metrics import class_found

CMA = pytest.param(
    "cma-es", marks=pytest.mark.skipif(importlib.util.find_spec("cma") is None, reason="needs the extra cma")
)


@pytest.mark.parametrize("optimizer", ["nes", "spsa", CMA])
def test_a_digit_is_found_by_queries_alone(optimizer: Any) -> None:
    network, means = trained(), class_means().double().numpy()
    seen = [asked(network, k) for k in (0, 3, 6)]
    answers = QueryInversion(optimizer=optimizer, confidence=0.9).attack_all(seen)
    pictures = np.stack([answer.image.double().numpy() for answer in answers if answer.image is not None])
    assert class_found(pictures, np.array([0, 3, 6]), means).all()
    for one, answer in zip(seen, answers, strict=True):
        assert one.oracle is not None
        assert answer.evaluations == one.oracle.asked <= 20_000
        assert confidence(network, answer.image, one.target) >= 0.899


def test_beyond_the_budget_it_answers_its_best_so_far_and_says_so() -> None:
    network = trained()
    short, shorter = (QueryInversion()(asked(network, queries=queries)) for queries in (400, 60))
    assert short.notes == shorter.notes == (SPENT,)
    assert short.stopped == {"budget spent": 1}
    assert 300 < short.evaluations <= 400
    assert short.objective is not None
    assert shorter.objective is not None
    assert short.objective < shorter.objective
    assert confidence(network, short.image, 3) == pytest.approx(float(np.exp(-short.objective)), rel=1e-3)


def test_one_query_is_enough_to_answer() -> None:
    answer = QueryInversion()(asked(trained(), queries=1))
    assert torch.equal(answer.image, torch.full((1, 8, 8), 0.5))  # type: ignore[arg-type]
    assert (answer.evaluations, answer.notes) == (1, (SPENT,))


def test_a_coarse_grid_has_fewer_numbers() -> None:
    answer = QueryInversion(resolution=2, iterations=5)(asked(trained()))
    assert answer.image is not None
    assert torch.linalg.matrix_rank(answer.image[0]) <= 2
    assert len(answer.image.unique()) > 4


def test_iterations_end_it() -> None:
    answer = QueryInversion(iterations=2, confidence=1)(asked(trained()))
    assert (answer.evaluations, answer.facts["iterations"], answer.notes) == (1 + 2 * 51, 2, ())


@pytest.mark.parametrize(
    ("said", "words"),
    [({}, "mi-face"), ({"protocol": "black-box", "queries": 9, "answers": "label"}, "labels alone")],
)
def test_what_it_cannot_ask_is_unsupported(said: dict[str, Any], words: str) -> None:
    why = QueryInversion().unsupported(dataclasses.replace(public(trained()), **said))
    assert why is not None
    assert words in why


def test_without_its_package_cma_es_is_unsupported_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invbench.attacks.query_inversion.find_spec", lambda name: None)
    known = public(trained(), protocol="black-box", queries=9)
    assert QueryInversion().unsupported(known) is None
    assert "pip install cma" in str(QueryInversion(optimizer="cma-es").unsupported(known))
