"""Attack `deep-prior`: it reads a picture, noise tells it nothing, and the box it has no use for is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_updates import digits, noise_like, observe, victim

from invbench.attacks.deep_prior import DeepPrior
from invbench.metrics import best_grey, psnr
from invbench.registry import BadSettings, load

ATTACK = DeepPrior(iterations=80, lr=2e-2, channels=8, latent=8, schedule="cosine", decay=True)


def test_it_reads_a_picture_and_noise_tells_it_nothing() -> None:
    images, labels = digits(1)
    network = victim(images)
    [read] = ATTACK.attack_all([observe(network, images, labels)])
    [misled] = replace(ATTACK, iterations=30).attack_all([observe(network, images, labels, defend=noise_like)])
    decibels, control = (psnr(one.images, images)[0] for one in (read, misled))
    assert decibels > psnr(best_grey(images), images)[0] + 3
    assert decibels > control + 3
    assert read.evaluations == 81


def test_labels_that_are_sought_are_found_beside_the_pictures() -> None:
    images, labels = digits(1)
    [guess] = replace(ATTACK, labels="joint").attack_all([observe(victim(images), images, labels, hidden=True)])
    assert guess.labels is not None
    assert guess.labels.tolist() == labels.tolist()


def test_a_box_is_refused() -> None:
    with pytest.raises(BadSettings, match="boxed must be true"):
        load("attack", "deep-prior").settings({"boxed": False})
