"""The short recipe: what it is for, on a network with kinks."""

from __future__ import annotations

from dataclasses import replace

from made_updates import observe, photographs, victim

from invbench.attacks.inverting_gradients import InvertingGradients
from invbench.matching.fast import SINGLE, fast
from invbench.metrics import psnr
from invbench.models.convnet import ConvNet
from invbench.models.resnet20 import ResNet20


def test_in_as_many_steps_it_comes_nearer_than_the_published_schedule() -> None:
    images, labels = photographs(1)
    network = victim(images, model=ConvNet(width=4))
    short = replace(fast(observe(network, images, labels, seed=1).public), iterations=39)
    reached = []
    for recipe in (short, InvertingGradients(iterations=39, tv=short.tv)):
        [guess] = recipe.attack_all([observe(network, images, labels, seed=1)])
        reached.append(float(psnr(guess.images, images)[0]))
    assert reached[0] > reached[1]


def test_a_batch_has_few_steps_long_ones_on_a_chain_and_short_ones_from_grey_through_residuals() -> None:
    images, labels = photographs(2)
    chain, residual = (
        fast(observe(victim(images, model=model), images, labels, seed=1).public)
        for model in (ConvNet(width=4), ResNet20())
    )
    assert (chain.lr, chain.start) == (1.0, "normal")
    assert (residual.lr, residual.start) == (0.3, "small")
    assert max(chain.iterations, residual.iterations) < SINGLE.iterations / 3
