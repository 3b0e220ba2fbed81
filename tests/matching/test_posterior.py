"""The search behind declared noise: its prior is the one that predicts, its answer beats grey and what was known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from made_updates import digits, normalised, observe, victim
from torch import Tensor

from invbench.defenses import Context
from invbench.defenses.gaussian import Gaussian
from invbench.matching.posterior import PosteriorSearch
from invbench.matching.prior import markov, priors
from invbench.matching.whitened import plain_noise
from invbench.metrics import psnr
from invbench.models.lenet import LeNet
from invbench.observation import Guess, Labelled, PublicDefense, UpdateObservation

NETWORK = LeNet(activation="tanh", start="pytorch")
GREY = torch.full((2, 1, 8, 8), 0.5)


def seen_behind(std: float, *, hidden: bool = False, clients: int = 1) -> tuple[UpdateObservation, Tensor]:
    images, labels = digits(2)
    defend = lambda update: Gaussian(std=std).update(update, Context(torch.Generator().manual_seed(3)))  # noqa: E731
    seen = observe(victim(images, model=NETWORK), images, labels, defend=defend, hidden=hidden, clients=clients)
    return declared(seen, ("gaussian", {"std": std})), images


def declared(seen: UpdateObservation, *stack: tuple[str, dict[str, Any]]) -> UpdateObservation:
    return replace(seen, public=replace(seen.public, defenses=tuple(PublicDefense(*one) for one in stack)))


def decibels(guess: Guess, images: Tensor) -> float:
    return float(psnr(guess.images, images).mean())


def test_digits_are_sought_under_a_rough_prior_and_better_under_one_of_the_attacker_s_own() -> None:
    seen, images = seen_behind(0.02)
    many, labels = digits(300)
    reference = Labelled(normalised(many[2:]), labels[2:])  # the first two are attacked
    informed = replace(seen, public=replace(seen.public, reference=reference))
    found = []
    for one in (seen, informed):
        among = priors(one.public, (0.5, 0.97), 0.92, by_label=True)
        search = PosteriorSearch(priors=tuple(among), trying=25, iterations=15)
        [guess] = search.search([replace(one, generator=torch.Generator().manual_seed(0))], [None])
        found.append(guess)
        assert guess.evaluations <= len(among) * 26 + 16
        assert sum(guess.stopped.values()) == len(among) + 1
    grey = decibels(Guess(images=GREY), images)
    assert found[0].facts["prior"] == "neighbours alike by 0.5"
    assert found[1].facts["prior"] == "fitted on 298 pictures"
    assert grey + 1 < decibels(found[0], images) < decibels(found[1], images) - 1


def test_it_goes_on_from_what_is_known_and_keeps_the_better_end() -> None:
    seen, images = seen_behind(1e-3)
    search = PosteriorSearch(priors=(markov(seen.public, 0.5, 0.92),), trying=2, iterations=3)
    known = Guess(images=images, labels=seen.labels)
    [near] = search.search([seen], [known])
    [far] = search.search([replace(seen, generator=torch.Generator().manual_seed(0))], [None])
    assert near.objective is not None
    assert far.objective is not None
    assert near.objective < far.objective
    assert decibels(near, images) > 30 > decibels(far, images)


def test_hidden_labels_of_a_batch_are_sought_with_the_pictures() -> None:
    seen, images = seen_behind(1e-3, hidden=True)
    search = PosteriorSearch(priors=(markov(seen.public, 0.5, 0.92),), trying=2, iterations=2)
    [guess] = search.search([seen], [Guess(images=images, labels=digits(2)[1])])
    assert guess.labels is not None
    assert guess.labels.tolist() == digits(2)[1].tolist()


@pytest.mark.parametrize(
    ("stack", "plain"),
    [
        ([("gaussian", {"std": 0.1})], True),
        ([("clip", {"norm": 1.0}), ("laplace", {"std": 0.1})], True),
        ([("per-example-clip", {"norm": 1.0}), ("gaussian", {"std": 0.1})], True),
        ([("gaussian", {"std": 0.0})], False),
        ([("gaussian", {"std": 0.1}), ("sign", {})], False),
        ([("top-k", {"fraction": 0.1}), ("gaussian", {"std": 0.1})], False),
        ([], False),
    ],
    ids=str,
)
def test_noise_is_plain_behind_smooth_steps_and_before_nothing(stack: Any, plain: bool) -> None:
    seen, _ = seen_behind(0.1)
    assert (plain_noise(declared(seen, *stack).public) is not None) is plain


def test_steps_before_the_noise_are_taken_by_the_search_too() -> None:
    images, labels = digits(1)
    network = victim(images, model=NETWORK)
    seen = observe(network, images, labels)
    length = torch.cat([tensor.flatten() for tensor in seen.update]).norm()
    seen = replace(seen, update=tuple(tensor / length for tensor in seen.update))
    seen = declared(seen, ("clip", {"norm": 1.0}), ("gaussian", {"std": 1e-3}))
    search = PosteriorSearch(priors=(markov(seen.public, 0.5, 0.92),), trying=60, iterations=40)
    [guess] = search.search([seen], [None])
    assert decibels(guess, images) > 20


def test_noise_of_several_clients_is_left_to_others() -> None:
    seen, _ = seen_behind(0.1, clients=2)
    assert plain_noise(seen.public) is None
