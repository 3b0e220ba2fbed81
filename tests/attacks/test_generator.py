"""Attack `generator`: what its generator can make it finds, what it cannot the later searches come nearer to."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from made_updates import digits, noise_like, normalised, observe, public, victim
from small_cells import make_cell
from torch import Tensor

from invbench.attacks.generator import Generator
from invbench.inversion.decoder import Decoder
from invbench.metrics import best_grey, psnr
from invbench.observation import Guess, Labelled, Tensors, UpdateObservation
from invbench.play.asking import why_unsupported

ATTACK = Generator(search="latent", latent=4, width=8, training_steps=200, iterations=90, restarts=2, tv=0.0, lr=0.2)
OWN = slice(10, 210)


def reference() -> Labelled:
    images, labels = digits(210)
    return Labelled(normalised(images[OWN]), labels[OWN])


@cache
def generator() -> Tensors:
    known = replace(public(victim(digits(1)[0]), (1, 8, 8)), reference=reference())
    return ATTACK.preparations(known)["generator"].make({})


def seen(images: Tensor, *, noise: bool = False, seed: int = 0) -> UpdateObservation:
    labels = digits(10)[1][: len(images)]
    one = observe(victim(images), images, labels, seed=seed, **({"defend": noise_like} if noise else {}))
    return replace(one, public=replace(one.public, reference=reference()), prepared={"generator": generator()})


def answered(attack: Generator, images: Tensor, *, noise: bool = False) -> Guess:
    [guess] = attack.attack_all([seen(images, noise=noise)])
    return guess


def made(count: int = 1) -> Tensor:
    """Pictures that the generator makes of some codes."""
    codes = torch.randn(count, ATTACK.latent, generator=torch.Generator().manual_seed(5))
    return Decoder(ATTACK._training, (1, 8, 8)).run(generator()["weights"], codes)


def test_a_picture_that_the_generator_makes_is_found_by_its_code() -> None:
    guess = answered(ATTACK, made())
    assert psnr(guess.images, made())[0] > psnr(best_grey(made()), made())[0] + 30
    assert guess.facts == {"search": "code"}
    assert guess.evaluations == 2 * 91


@pytest.mark.parametrize("search", ["layers", "weights"])
def test_later_searches_come_nearer_to_a_picture_that_it_cannot_make(search: str) -> None:
    image, short = digits(1)[0], replace(ATTACK, iterations=40)
    codes = answered(short, image)
    further = answered(replace(short, search=search, radius=2.0, weight_lr=0.02), image)
    assert codes.objective is not None
    assert further.objective is not None
    assert further.objective < codes.objective / 2
    assert psnr(further.images, image)[0] > psnr(codes.images, image)[0] + 1
    assert further.facts["search"] in ("layer 1", "layer 2", "weights")
    assert further.evaluations == (2 + (2 if search == "layers" else 1)) * 41


def test_balls_of_radius_zero_leave_the_answer_of_the_codes() -> None:
    image = digits(1)[0]
    short = replace(ATTACK, iterations=15)
    codes, held = answered(short, image), answered(replace(short, search="layers", radius=0.0), image)
    torch.testing.assert_close(held.images, codes.images, rtol=1e-4, atol=1e-5)


def test_noise_tells_it_nothing_of_a_picture_that_it_can_make() -> None:
    misled = answered(replace(ATTACK, iterations=30), made(), noise=True)
    assert psnr(misled.images, made())[0] < psnr(best_grey(made()), made())[0] + 10


def test_a_prior_keeps_codes_near_zero() -> None:
    """Then its pictures are nearer to the one that code 0 makes."""
    short, image = replace(ATTACK, iterations=30), digits(1)[0]
    middle = Decoder(ATTACK._training, (1, 8, 8)).run(generator()["weights"], torch.zeros(1, ATTACK.latent))
    free, near = answered(short, image), answered(replace(short, prior=10.0), image)
    assert float((near.images - middle).square().mean()) < float((free.images - middle).square().mean()) / 4


def test_every_picture_of_a_batch_has_a_code_and_weights_of_its_own() -> None:
    """Targets together are answered as alone."""
    attack = replace(ATTACK, iterations=8, search="weights")
    one, two = made(4).split(2)
    together = attack.attack_all([seen(one), seen(two, seed=1)])
    [alone] = attack.attack_all([seen(two, seed=1)])
    torch.testing.assert_close(together[1].images, alone.images, rtol=1e-2, atol=1e-2)
    assert not torch.allclose(alone.images[0], alone.images[1])


def test_what_it_needs(tmp_path: Path) -> None:
    bare = make_cell(tmp_path, attack="generator", targets=1)
    assert "public: NUMBER" in str(why_unsupported(bare))
    assert bare.controls == ("grey", "mean", "noise")
    protocol = {"name": "fedsgd", "public": 4}
    deep = make_cell(tmp_path, attack={"name": "generator", "layers": 4}, protocol=protocol, targets=1)
    assert "layers: 4: for pictures of this size its generator has 3 after the codes" in str(why_unsupported(deep))
    assert why_unsupported(make_cell(tmp_path, attack="generator", protocol=protocol, targets=1)) is None
