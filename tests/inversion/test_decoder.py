"""The decoder in stages: its shapes, its training on pictures in [0, 1], and what its artefact depends on."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from made_updates import digits, normalised, public, victim

from invbench.inversion.decoder import Decoder, Recipe, trained_decoder, without_pictures
from invbench.observation import Labelled, Preparation, Public

RECIPE = Recipe(latent=8, width=12, steps=200)


def known(first: int = 0, count: int = 200) -> Public:
    images, labels = digits(first + count)
    reference = Labelled(normalised(images[first:]), labels[first:])
    return replace(public(victim(images), (1, 8, 8)), reference=reference)


def preparation(public: Public, recipe: Recipe = RECIPE) -> Preparation:
    return trained_decoder(public, recipe)["generator"]


@cache
def weights() -> torch.Tensor:
    return preparation(known()).make({})["weights"]


@pytest.mark.parametrize(("shape", "stages"), [((1, 8, 8), 3), ((3, 28, 20), 4), ((3, 32, 32), 5), ((1, 5, 7), 2)])
def test_stages_one_after_the_other_are_the_whole(shape: tuple[int, int, int], stages: int) -> None:
    decoder, drawn = Decoder(RECIPE, shape), torch.Generator().manual_seed(0)
    own, codes = decoder.start(drawn), torch.randn(2, RECIPE.latent, generator=drawn)
    assert (decoder.stages, len(own)) == (stages, decoder.size)
    whole, values = decoder.run(own, codes), codes
    for stage in range(stages):
        if stage:
            assert values.shape == (2, *decoder.shape(stage))
        values = decoder.run(own, values, stage, stage + 1)
    assert torch.equal(values, whole)
    assert whole.shape == (2, *shape)
    assert bool(((whole > 0) & (whole < 1)).all())


def test_it_draws_digits_that_it_has_not_seen() -> None:
    """Codes fitted to others of the data set: twice nearer than the mean picture, which is nearer than grey."""
    others, decoder = digits(220)[0][200:], Decoder(RECIPE, (1, 8, 8))
    mean = digits(220)[0][:200].mean(dim=0)
    codes = torch.zeros(20, RECIPE.latent, requires_grad=True)
    optimizer = torch.optim.Adam([codes], lr=0.1)
    for _ in range(100):
        error = (decoder.run(weights(), codes) - others).square().mean()
        optimizer.zero_grad()
        error.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    of_the_mean = float((mean - others).square().mean())
    assert float(error.detach()) < of_the_mean / 2
    drawn = decoder.run(weights(), torch.randn(300, RECIPE.latent, generator=torch.Generator().manual_seed(0)))
    assert float((drawn.mean(dim=0) - mean).square().mean()) < of_the_mean / 10, "trained in [0, 1], not normalised"


def test_its_training_repeats_and_its_key_holds_the_pictures() -> None:
    short = replace(RECIPE, steps=5)
    once, again = (preparation(known(), short) for _ in range(2))
    assert torch.equal(once.make({})["weights"], again.make({})["weights"])
    keys = [once.key, again.key, preparation(known(first=20), short).key, preparation(known()).key]
    assert keys[0] == keys[1]
    assert keys[2] != keys[0] != keys[3]


def test_a_trial_has_the_shape_of_the_whole_and_says_how_long_that_takes() -> None:
    trial = preparation(known()).trial
    assert trial is not None
    made, seconds = trial({})
    assert made["weights"].shape == weights().shape
    assert seconds > 0


def test_without_pictures_there_is_none() -> None:
    bare = replace(known(), reference=None)
    assert "public: NUMBER" in str(without_pictures(bare))
    assert without_pictures(known()) is None
    assert trained_decoder(bare, RECIPE) == {}
