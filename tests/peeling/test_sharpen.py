"""Polishing: exact from a start that is near, certain only of the true picture, and of nothing that is no gradient."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from made_updates import noise_like, observe, photographs, pooled
from torch import Tensor, nn
from torch.nn import functional

from invbench.metrics import psnr
from invbench.observation import Failed, Guess, UpdateObservation
from invbench.peeling.sharpen import Polishing, can_polish, polish


def pictures(index: int = 0) -> tuple[Tensor, Tensor]:
    images, labels = photographs(index + 1)
    return functional.adaptive_avg_pool2d(images[index:], 8), labels[index:]


def moved(images: Tensor, by: float, seed: int = 0) -> Tensor:
    """The picture with noise of that standard deviation."""
    drawn = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    return (images + by * drawn).clamp(0, 1)


def tried(seen: UpdateObservation, guess: Guess) -> Guess:
    """The polished answer, or no picture where there is none."""
    try:
        return polish(seen, guess)
    except Failed as failure:
        return seen.nothing(str(failure))


def test_a_start_that_is_near_becomes_exact_and_certified_whatever_label_it_came_with() -> None:
    images, labels = pictures()
    seen = observe(pooled(6), images, labels, hidden=True)
    for label in (labels, (labels + 3) % 10):
        sharp = polish(seen, Guess(images=moved(images, 0.03), labels=label))
        assert psnr(sharp.images, images)[0] > 80
        assert sharp.facts["certified"] is True
        assert sharp.labels is not None
        assert sharp.labels.tolist() == labels.tolist()


@pytest.mark.parametrize("seed", range(8))
def test_from_any_start_only_the_true_picture_is_certified(seed: int) -> None:
    """Widths from where the update leaves a picture open to where it tells more than enough; starts near and far."""
    width, activation = (1, 2, 4, 8)[seed % 4], (nn.Sigmoid, nn.Tanh)[seed // 4]
    images, labels = pictures(seed % 3)
    seen = observe(pooled(width, seed=seed, activation=activation), images, labels, hidden=True)
    for start in (moved(images, 0.05, seed), moved(images, 0.3, seed), torch.full_like(images, 0.5)):
        sharp = tried(seen, Guess(images=start, labels=labels))
        if sharp.facts.get("certified"):
            assert width > 1
            assert psnr(sharp.images, images)[0] > 60


@pytest.mark.parametrize("kind", ["two pictures", "scaled", "noise", "one tensor of noise", "turned round"])
def test_what_is_no_gradient_of_a_picture_is_never_certified(kind: str) -> None:
    images, labels = pictures()
    network = pooled(8)
    seen = observe(network, images, labels, hidden=True)
    two = photographs(2)
    updates = {
        "two pictures": observe(network, functional.adaptive_avg_pool2d(two[0], 8), two[1], hidden=True).update,
        "scaled": tuple(0.5 * tensor for tensor in seen.update),
        "noise": noise_like(seen.update),
        "one tensor of noise": (noise_like(seen.update)[0], *seen.update[1:]),
        "turned round": tuple(-tensor for tensor in seen.update),
    }
    sharp = tried(replace(seen, update=updates[kind]), Guess(images=moved(images, 0.03), labels=labels))
    assert not sharp.facts.get("certified")


def test_a_start_that_is_not_finite_or_has_no_label_fails_and_says_so() -> None:
    images, labels = pictures()
    seen = observe(pooled(4), images, labels, hidden=True)
    with pytest.raises(Failed, match="no answer with a label"):
        polish(seen, Guess(images=images))
    with pytest.raises(Failed, match="overflow"):
        polish(seen, Guess(images=torch.full_like(images, torch.nan), labels=labels))


def test_the_forecasts_polishing_takes_steps_from_grey_and_its_trial_is_one_of_them() -> None:
    images, labels = pictures()
    seen = observe(pooled(6), images, labels, hidden=True)
    short, longer = Polishing(steps=4).trial()
    assert longer == 4
    assert 0 < short(seen).evaluations < Polishing(steps=4)(seen).evaluations


def test_a_kink_is_not_polished() -> None:
    images, labels = pictures()
    assert can_polish(observe(pooled(4), images, labels).public)
    assert not can_polish(observe(pooled(4, activation=nn.ReLU), images, labels).public)
