"""Gaussian priors by their square roots: the covariance is the one stated, and a fitted one is the sample's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from made_updates import digits, normalised, public, victim
from torch import Tensor

from invbench.matching.prior import Prior, fitted, markov, priors
from invbench.observation import Labelled, Public
from invbench.peeling import prior as natural


def known(shape: tuple[int, int, int]) -> Public:
    return public(victim(torch.zeros(1, 1, 8, 8)), shape)


def own(count: int) -> tuple[Labelled, Public]:
    images, labels = digits(count)
    labelled = Labelled(normalised(images), labels)
    return labelled, replace(known((1, 8, 8)), reference=labelled)


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 6, 3), (2, 1, 4)])
def test_its_energy_is_that_of_the_precision_and_whitening_is_undone(shape: tuple[int, int, int]) -> None:
    prior = markov(known(shape), natural.ALIKE, natural.COLOURS)
    images, labels = torch.randn(2, *shape, dtype=torch.float64), torch.tensor([0, 1])
    whitened = prior.whitened(images, labels)
    assert torch.allclose(prior.deviations(whitened), images)
    assert prior.energy(images, labels) == pytest.approx(natural.energy(images))


def test_without_likeness_between_neighbours_pixels_are_independent() -> None:
    images = torch.randn(1, 1, 4, 4, dtype=torch.float64)
    assert markov(known((1, 4, 4)), 0.0, 0.9).energy(images, torch.tensor([0])) == pytest.approx(
        float(images.square().sum())
    )


def test_a_fitted_prior_has_the_sample_s_means_and_about_its_energy() -> None:
    labelled, seen = own(400)
    by_label, whole = fitted(labelled, seen, by_label=True), fitted(labelled, seen, by_label=False)
    assert by_label is not None
    assert whole is not None
    assert torch.allclose(whole.means[0], labelled.images.double().mean(dim=0))
    threes = labelled.images[labelled.labels == 3].double()
    assert torch.allclose(by_label.means[3], threes.mean(dim=0), atol=0.1)

    def energy(prior: Prior) -> float:
        return prior.energy(labelled.images, labelled.labels) / labelled.images.numel()

    assert 0.5 < energy(whole) < 1.1
    assert energy(markov(seen, natural.ALIKE, natural.COLOURS)) > 5, "digits are not as smooth as photographs"
    images: Tensor = by_label.deviations(by_label.whitened(labelled.images, labelled.labels))
    assert torch.allclose(images + by_label.centre(labelled.labels), labelled.images.double(), atol=1e-6)


def test_few_pictures_fit_nothing() -> None:
    labelled, seen = own(31)
    assert fitted(labelled, seen, by_label=False) is None
    assert [prior.name for prior in priors(seen, (0.5, 0.9), 0.9, by_label=False)] == [
        "neighbours alike by 0.5",
        "neighbours alike by 0.9",
    ]
