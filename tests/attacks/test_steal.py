"""Attack `steal`: d + 1 answers are a softmax regression's weights."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
from made_models import asked, class_means, public, trained
from torch import nn

from invbench.attacks.steal import Steal
from invbench.defenses import Stack
from invbench.defenses.round import Round
from invbench.defenses.top_label import TopLabel
from invbench.metrics import class_found, weight_error
from invbench.models.mlp import MLP
from invbench.observation import Inversion

ROUNDED, LABEL = (partial(Stack((d,)).at, "answer", context=None) for d in (Round(step=0.15), TopLabel()))  # type: ignore[arg-type]


def error(answer: Inversion, network: nn.Module) -> float:
    assert answer.weights is not None
    arrays = [
        {name: w.detach().double().numpy() for name, w in of.items()}
        for of in (answer.weights, dict(network.named_parameters()))
    ]
    return float(weight_error(arrays[:1], arrays[1])[0])


def test_65_answers_are_the_weights_of_a_model_of_64_pixels_and_then_every_class() -> None:
    network = trained()
    answers = Steal(iterations=300).attack_all([asked(network, k, queries=65) for k in range(10)])
    assert [answer.evaluations for answer in answers] == [65] * 10
    assert error(answers[0], network) < 1e-3
    pictures = np.stack([answer.image.double().numpy() for answer in answers if answer.image is not None])
    assert class_found(pictures, np.arange(10), class_means().double().numpy()).sum() >= 9


def test_the_stolen_model_answers_as_the_model_does() -> None:
    network = trained()
    [answer] = Steal(iterations=1).attack_all([asked(network)])
    copy = trained()
    assert answer.weights is not None
    stolen = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    stolen.load_state_dict(dict(answer.weights))
    x = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(stolen(x).softmax(1), copy(x).softmax(1), atol=1e-4, rtol=1e-3)


def test_one_theft_serves_every_class() -> None:
    network = trained()
    seen = [asked(network, k) for k in range(3)]
    Steal(iterations=1).attack_all(seen)
    assert [one.oracle.asked for one in seen if one.oracle is not None] == [65, 0, 0]


def test_rounded_answers_hide_weights_and_the_record_says_how_many() -> None:
    network = trained()
    [answer] = Steal(iterations=50).attack_all([asked(network, defended=ROUNDED)])
    assert error(answer, network) > 0.1
    assert 0 < float(answer.facts["unknown"]) < 1  # type: ignore[arg-type]
    assert "answered as 0" in answer.notes[0]


def test_the_likeliest_class_alone_is_no_equation() -> None:
    [answer] = Steal().attack_all([asked(trained(), defended=LABEL)])
    assert answer.image is None
    assert "there is no equation to solve" in answer.notes[0]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "nothing to steal"),
        ({"protocol": "black-box", "queries": 64}, "needs 65 queries"),
        ({"protocol": "black-box", "queries": 65, "answers": "label"}, "labels alone"),
    ],
)
def test_what_it_cannot_read_is_unsupported(said: dict[str, object], words: str) -> None:
    why = Steal().unsupported(dataclasses.replace(public(trained()), **said))  # type: ignore[arg-type]
    assert why is not None
    assert words in why


def test_a_network_with_a_hidden_layer_is_unsupported() -> None:
    network = MLP(width=8, depth=1).build((1, 8, 8), 10)
    why = Steal().unsupported(public(network, protocol="black-box", queries=100))
    assert why is not None
    assert "softmax regression on pixels" in why
