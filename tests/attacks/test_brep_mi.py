"""Attack `brep-mi`: a class drawn by labels alone, within the budget."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
from made_models import asked, class_means, public, reference, trained
from torch import nn

from invbench.attacks.brep_mi import NEVER, SPENT, BrepMi
from invbench.attacks.query_inversion import QueryInversion
from invbench.defenses import Stack
from invbench.defenses.top_label import TopLabel
from invbench.metrics import class_found
from invbench.observation import Inversion

LABEL = partial(Stack((TopLabel(),)).at, "answer", context=None)  # type: ignore[arg-type]
GENERATOR = BrepMi(space="generator", latent=8, hidden=40, training_steps=200, patience=10)


def found(answers: list[Inversion], classes: int = 10) -> int:
    pictures = np.stack([torch.zeros(1, 8, 8) if one.image is None else one.image.double().numpy() for one in answers])
    return int(class_found(pictures, np.arange(len(answers)), class_means().double().numpy()[:classes]).sum())


def test_digits_are_found_by_labels_alone_where_a_search_of_confidences_is_blind() -> None:
    network = trained()
    labels = BrepMi().attack_all([asked(network, k, queries=700, answers="label") for k in range(4)])
    blind = QueryInversion().attack_all([asked(network, k, queries=700, defended=LABEL) for k in range(4)])
    assert found(labels) >= 3
    assert found(labels) > found(blind)


def test_hard_confidences_are_read_as_labels() -> None:
    network = trained()
    one, other = (
        BrepMi(patience=5)(asked(network, queries=500, **said))  # type: ignore[arg-type]
        for said in ({"answers": "label"}, {"defended": LABEL})
    )
    assert one.image is not None
    assert torch.equal(one.image, other.image)  # type: ignore[arg-type]


def test_what_it_says_of_itself_is_what_the_oracle_counted() -> None:
    seen = asked(trained(), queries=400, answers="label")
    answer = BrepMi()(seen)
    assert seen.oracle is not None
    assert answer.evaluations == seen.oracle.asked == answer.facts["queries"] <= 400
    assert answer.notes == (SPENT,)
    assert answer.objective is not None
    assert answer.objective == -float(answer.facts["radius"])  # type: ignore[arg-type]


def test_a_class_that_is_never_answered_has_no_picture() -> None:
    network = trained()
    shy = nn.Sequential(network, nn.Linear(10, 10))
    with torch.no_grad():
        shy[1].weight.copy_(torch.eye(10))  # type: ignore[operator, union-attr]
        shy[1].bias.copy_(-1e6 * (torch.arange(10) == 3))  # type: ignore[operator, union-attr]
    answer = BrepMi()(asked(shy, 3, queries=100, answers="label"))
    assert answer.image is None
    assert answer.notes == (NEVER,)
    assert answer.evaluations == 96


def test_the_code_of_a_generator_of_other_digits_is_searched() -> None:
    network = trained(known=5)
    made = GENERATOR.preparations(public(network, reference=reference()))["generator"].make({})
    seen = [asked(network, k, queries=2000, answers="label", reference=reference()) for k in range(5)]
    answers = GENERATOR.attack_all([dataclasses.replace(one, prepared={"generator": made}) for one in seen])
    assert found(answers, classes=5) >= 3


def test_iterations_end_it() -> None:
    answer = BrepMi(iterations=2)(asked(trained(), answers="label"))
    assert (answer.notes, answer.stopped) == ((), {"budget spent": 1})
    assert answer.evaluations <= 2 * 32 + 2 * 33
    assert BrepMi(patience=2)(asked(trained(), answers="label")).stopped == {"at rest": 1}
    assert BrepMi(iterations=1, points=1)(asked(trained(), 8, answers="label")).evaluations <= 3


@pytest.mark.parametrize(
    ("attack", "said", "words"),
    [
        (BrepMi(), {}, "mi-face"),
        (GENERATOR, {"protocol": "black-box", "queries": 9}, "public: other-classes"),
    ],
)
def test_what_it_cannot_ask_is_unsupported(attack: BrepMi, said: dict[str, object], words: str) -> None:
    assert words in str(attack.unsupported(dataclasses.replace(public(trained()), **said)))  # type: ignore[arg-type]
    assert BrepMi().unsupported(public(trained(), protocol="black-box", queries=9, answers="label")) is None
