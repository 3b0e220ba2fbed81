"""Attack `mi-face`: a trained model's gradient draws its classes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from made_models import MEAN, STD, class_means, confidence, public, released, trained

from invbench.attacks.mi_face import MiFace
from invbench.metrics import class_found
from invbench.models.autoencoder import Autoencoder
from invbench.models.mlp import MLP
from invbench.observation import Inversion

MEANS = class_means().double().numpy()
SIGMOID = MLP(width=60, depth=1, activation="sigmoid")
STACKED = Autoencoder(units=100, top_units=40, pretraining_steps=100)


def found(answers: list[Inversion]) -> int:
    pictures = np.stack([one.image.double().numpy() for one in answers if one.image is not None])
    return int(class_found(pictures, np.arange(10), MEANS).sum())


@pytest.mark.parametrize("model", [None, SIGMOID], ids=["softmax", "mlp"])
def test_every_digit_is_found_and_the_model_is_certain_of_it(model: MLP | None) -> None:
    network = trained(model)
    answers = MiFace(iterations=300).attack_all([released(network, k) for k in range(10)])
    assert found(answers) >= 9
    for target, answer in enumerate(answers):
        sure = confidence(network, answer.image, target)
        assert sure == pytest.approx(answer.facts["confidence"], abs=1e-4)  # type: ignore[arg-type]
        assert sure > 0.5
        assert (sure >= 0.9899) == (answer.stopped == {"converged": 1})


def test_a_model_of_shuffled_labels_gives_no_class_away() -> None:
    network = trained(shuffled=True)
    assert found(MiFace(iterations=300).attack_all([released(network, k) for k in range(10)])) <= 4


def test_it_takes_the_paper_s_step_from_the_grey_that_the_network_sees_as_zero() -> None:
    network = trained()
    seen = released(network)
    [answer] = MiFace(iterations=1).attack_all([seen])
    x = seen.mean_grey()[None].requires_grad_(True)
    assert torch.equal(seen.mean_grey(), seen.channel_constants()[0].expand(1, 8, 8))
    (slope,) = torch.autograd.grad(1 - seen.released()(x).double().softmax(dim=1)[0, 3], x)
    torch.testing.assert_close(answer.image, (x - 0.1 * slope).clamp(0, 1).detach()[0])
    assert answer.evaluations == 2


def test_total_variation_smooths() -> None:
    network = trained()
    plain, smooth = (MiFace(iterations=60, confidence=1, tv=tv).attack_all([released(network)])[0] for tv in (0, 1.0))
    assert plain.image is not None
    assert smooth.image is not None
    assert smooth.image.diff(dim=-1).abs().mean() < 0.8 * plain.image.diff(dim=-1).abs().mean()


def test_without_weights_it_is_unsupported_and_says_what_is() -> None:
    network = trained()
    assert MiFace().unsupported(public(network)) is None
    why = MiFace().unsupported(dataclasses.replace(public(network), protocol="black-box", queries=10))
    assert why is not None
    assert "query-inversion" in why


def in_code(**said: Any) -> list[Inversion]:
    network = trained(STACKED)
    return MiFace(space="code", **said).attack_all([released(network, k) for k in range(10)])


def test_digits_are_found_in_the_code_of_an_autoencoder_and_are_what_its_decoder_makes_of_it() -> None:
    answers, network = in_code(step=10.0, iterations=60), trained(STACKED)
    assert found(answers) >= 9
    for target, answer in enumerate(answers):
        assert answer.image is not None
        assert answer.image.shape == (1, 8, 8)
        with torch.no_grad():
            told = network((answer.image[None] - MEAN) / STD).softmax(dim=1)[0]
        assert int(told.argmax()) == target
        assert float(answer.facts["confidence"]) > float(told[target])  # type: ignore[arg-type]  # decoding loses some


def test_process_is_made_of_every_iterate() -> None:
    plain, processed = in_code(step=10.0, iterations=10), in_code(step=10.0, iterations=10, process="denoise-sharpen")
    assert found(processed) >= 6
    assert not any(torch.equal(a.image, b.image) for a, b in zip(plain, processed, strict=True))  # type: ignore[arg-type]
    coarse, fine = (in_code(iterations=5, process="denoise-sharpen", filtering=f, sharpening=0) for f in (0.5, 0.01))
    rough = [float(torch.stack([a.image.diff(dim=-1).abs().mean() for a in of]).mean()) for of in (coarse, fine)]  # type: ignore[union-attr]
    assert rough[0] < 0.95 * rough[1]


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (MiFace(space="code"), "a model with a decoder (autoencoder), not made"),
        (MiFace(process="denoise-sharpen"), "it needs space code"),
        (MiFace(space="code", tv=0.1), "tv is of pixels"),
    ],
)
def test_what_has_no_code_is_unsupported(attack: MiFace, words: str) -> None:
    assert words in str(attack.unsupported(public(trained())))
    if "decoder" in words:
        assert attack.unsupported(public(trained(STACKED))) is None
