"""The short recipe: what it is for, on a network with kinks."""

from __future__ import annotations

from dataclasses import replace

from made_updates import observe, photographs, victim

from invbench.attacks.inverting_gradients import InvertingGradients
from invbench.matching.fast import fast
from invbench.metrics import psnr
from invbench.models.convnet import ConvNet


def test_in_as_many_steps_it_comes_nearer_than_the_published_schedule() -> None:
    images, labels = photographs(1)
    network = victim(images, model=ConvNet(width=4))
    short = replace(fast(1), iterations=39)
    reached = []
    for recipe in (short, InvertingGradients(iterations=39, tv=short.tv)):
        [guess] = recipe.attack_all([observe(network, images, labels, seed=1)])
        reached.append(float(psnr(guess.images, images)[0]))
    assert reached[0] > reached[1]


def test_a_batch_has_few_steps_and_starts_nearly_grey() -> None:
    assert (fast(1).start, fast(8).start) == ("normal", "small")
    assert fast(8).iterations < fast(1).iterations / 3
