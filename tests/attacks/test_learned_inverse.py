"""Learning to invert: it learns behind whatever is declared, beats the mean picture, and reads nothing from noise."""

from __future__ import annotations

import dataclasses
from functools import cache

import pytest
import torch
from made_updates import digits, noise_like, normalised, observe, victim
from torch import Tensor

from invbench.attacks.learned_inverse import LearnedInverse
from invbench.defenses import Context, Defense, Stack
from invbench.defenses.gaussian import Gaussian
from invbench.defenses.sign import Sign
from invbench.inversion.learned import _hashing
from invbench.models.linear import Linear
from invbench.observation import Labelled, PublicDefense, UpdateObservation

OWN, TARGETS = 160, 6
ATTACK = LearnedInverse(hidden=64, epochs=40, rate=3e-3)


def seen(*defenses: Defense, told: bool = True, own: int = OWN) -> list[UpdateObservation]:
    """What a server sees of the first digits; it has others of its own."""
    images, labels = digits(TARGETS + OWN)
    reference = Labelled(normalised(images[TARGETS:][:own]), labels[TARGETS:][:own])
    names = {Sign: "sign", Gaussian: "gaussian"}
    public = tuple(PublicDefense(names[type(one)], one.public_parameters()) for one in defenses) if told else ()
    network, found = victim(images, model=Linear()), []
    for k in range(TARGETS):
        client = Context(torch.Generator().manual_seed(1000 + k))
        one = observe(
            network,
            images[k : k + 1],
            labels[k : k + 1],
            defend=lambda update, client=client: Stack(defenses).at("update", update, client),  # type: ignore[misc]
        )
        found.append(
            dataclasses.replace(one, public=dataclasses.replace(one.public, reference=reference, defenses=public))
        )
    return found


def error(answers: list[Tensor]) -> float:
    """Mean squared error of these answers to the targets."""
    return float((torch.stack(answers) - digits(TARGETS + OWN)[0][:TARGETS]).square().mean())


@cache
def of_the_mean() -> float:
    return error([digits(TARGETS + OWN)[0][TARGETS:].mean(dim=0)] * TARGETS)


def attacked(observations: list[UpdateObservation]) -> float:
    return error([guess.images[0] for guess in ATTACK.attack_all(observations)])


def test_it_reads_several_times_more_than_the_mean_picture_tells() -> None:
    assert attacked(seen()) < of_the_mean() / 2


def test_it_learns_what_signs_tell_and_one_that_does_not_know_of_them_is_lost() -> None:
    knows = attacked(seen(Sign()))
    assert knows < of_the_mean() / 2
    assert attacked(seen(Sign(), told=False)) > 1.5 * knows


def test_from_noise_it_reads_nothing() -> None:
    noise = [dataclasses.replace(one, update=noise_like(one.update)) for one in seen()]
    assert attacked(noise) > 0.8 * of_the_mean()


def test_behind_noise_that_hides_all_it_does_no_better_than_the_mean_picture() -> None:
    assert attacked(seen(Gaussian(std=1e4))) > 0.8 * of_the_mean()


def test_where_no_epoch_is_better_it_answers_the_mean_picture_and_says_so() -> None:
    observations = seen(own=40)
    wild = dataclasses.replace(ATTACK, rate=100.0, epochs=2)
    [guess, *_] = wild.attack_all(observations)
    assert guess.notes == ("it learned nothing: the answer is the mean picture",)
    assert guess.facts["held_out_error"] == guess.facts["error_of_the_mean"]
    taught = [k for k in range(40) if k % 10 != 9]
    mean = digits(TARGETS + OWN)[0][TARGETS:][taught].mean(dim=0)
    assert torch.allclose(guess.images[0], mean, atol=2e-3)


def test_an_answer_does_not_depend_on_the_others_and_is_the_same_twice() -> None:
    observations = seen(own=40)
    together = ATTACK.attack_all(observations)
    [alone] = ATTACK.attack_all([seen(own=40)[3]])
    assert torch.equal(together[3].images, alone.images)
    assert together[3].labels is not None
    assert torch.equal(together[3].labels, digits(TARGETS)[1][3:4])


@pytest.mark.parametrize(
    ("own", "reason"), [(0, "give the protocol `public: NUMBER`"), (19, "needs at least 20 pictures .*, not 19")]
)
def test_it_needs_pictures_of_its_own(own: int, reason: str) -> None:
    [one, *_] = seen(own=own)
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(ATTACK.unsupported(one.public))


def test_a_longer_update_is_hashed_and_keeps_its_length_on_average() -> None:
    update = (torch.randn(400, 50), torch.randn(300))
    hashed = _hashing(20300, 128, torch.device("cpu"))(update)
    assert hashed.shape == (128,)
    length = sum(float(tensor.square().sum()) for tensor in update)
    assert float(hashed.square().sum()) == pytest.approx(length, rel=0.5)
    assert torch.equal(_hashing(20300, 20300, torch.device("cpu"))(update)[:3], update[0].flatten()[:3])
