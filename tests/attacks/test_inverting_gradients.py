"""Attack `inverting-gradients`: a golden, and each published part worth its decibels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made_updates import noise_like, observe, photographs, public, victim

from invbench.attacks.inverting_gradients import InvertingGradients
from invbench.metrics import best_grey, psnr
from invbench.observation import UpdateObservation

COUNT, ITERATIONS = 3, 120


def observed(**settings: Any) -> list[UpdateObservation]:
    images, labels = photographs(COUNT)
    network = victim(images)
    batches = zip(images.split(1), labels.split(1), strict=True)
    return [observe(network, image, label, seed=k, **settings) for k, (image, label) in enumerate(batches)]


def decibels(attack: InvertingGradients, **settings: Any) -> Any:
    images, _ = photographs(COUNT)
    guesses = attack.attack_all(observed(**settings))
    return np.array([psnr(guess.images, images[k : k + 1])[0] for k, guess in enumerate(guesses)])


@pytest.fixture(scope="module")
def published() -> Any:
    return decibels(InvertingGradients(iterations=ITERATIONS))


def test_photographs_are_recovered_far_above_the_best_grey(published: Any) -> None:
    images, _ = photographs(COUNT)
    assert published.mean() > 17.5
    assert (published > psnr(best_grey(images), images) + 3.5).all()


@pytest.mark.parametrize(
    ("changed", "margin"),
    [({"tv": 0.0}, 3.0), ({"tv": -0.01}, 8.0), ({"objective": "l2"}, 3.0), ({"optimizer": "adam"}, 2.0)],
    ids=["no prior", "prior upside down", "no cosine", "no sign"],
)
def test_every_published_part_is_worth_its_decibels(published: Any, changed: dict[str, Any], margin: float) -> None:
    assert published.mean() > decibels(InvertingGradients(iterations=ITERATIONS, **changed)).mean() + margin


def test_it_reads_nothing_from_noise_of_the_same_size() -> None:
    images, _ = photographs(COUNT)
    read = decibels(InvertingGradients(iterations=40), defend=noise_like)
    assert (read < psnr(best_grey(images), images)).all()


def test_the_length_of_the_update_does_not_matter() -> None:
    attack = InvertingGradients(iterations=6)
    [one, *_] = attack.attack_all(observed())
    [two, *_] = attack.attack_all(observed(defend=lambda update: tuple(4 * t for t in update)))
    assert psnr(one.images, two.images)[0] > 60


def test_the_settings_are_the_papers() -> None:
    attack = InvertingGradients()
    assert (attack.optimizer, attack.lr, attack.decay, attack.boxed) == ("signed-adam", 0.1, True, True)
    assert (attack.objective, attack.tv, attack.iterations, attack.restarts) == ("cosine", 0.01, 4800, 1)
    assert attack.labels == "known"


def test_hidden_labels_are_supported_at_batch_one_only() -> None:
    network, shape = victim(photographs(1)[0]), (3, 16, 16)
    many = public(network, shape, batch=8, labels="hidden")
    assert InvertingGradients().unsupported(public(network, shape, batch=8)) is None
    assert InvertingGradients().unsupported(public(network, shape, labels="hidden")) is None
    reason = InvertingGradients().unsupported(many)
    assert (
        reason == "the protocol hides the labels, and idlg needs batch_size 1, not 8; "
        "`labels: ilrg` reads how many there are of each class, `labels: joint` seeks them as well"
    )
    assert InvertingGradients(labels="joint").unsupported(many) is None
