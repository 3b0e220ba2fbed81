"""Attack `mi-face`: a trained model's gradient draws its classes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from made_models import class_means, confidence, public, released, trained

from invbench.attacks.mi_face import MiFace
from invbench.metrics import class_found
from invbench.models.mlp import MLP
from invbench.observation import Inversion

MEANS = class_means().double().numpy()
SIGMOID = MLP(width=60, depth=1, activation="sigmoid")


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
