"""The objective `declared`: what the rules of the declared defences hold against a guess, and what they do not."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from made_updates import digits, noise_like, observe, victim

from invbench.defenses import Context, Defense, Stack
from invbench.defenses.clip import Clip
from invbench.defenses.gaussian import Gaussian
from invbench.defenses.quantize import Quantize
from invbench.defenses.random_k import RandomK
from invbench.defenses.sign import Sign
from invbench.defenses.top_k import TopK
from invbench.matching.declared import declared, objective_for
from invbench.matching.objectives import cosine, l2
from invbench.observation import PublicDefense, Update, UpdateObservation

NAMES = {
    Clip: "clip", Gaussian: "gaussian", Quantize: "quantize", RandomK: "random-k", Sign: "sign", TopK: "top-k",
}  # fmt: skip


def behind(*defenses: Defense, **settings: int) -> tuple[Update, UpdateObservation]:
    """What a client computed of one digit (or of each client's), and what is seen of it behind these defences."""
    images, labels = digits(settings.get("clients", 1))
    bare = observe(victim(images), images, labels, **settings)
    shared = Stack(defenses).at("update", bare.update, Context(torch.Generator().manual_seed(3)))
    told = tuple(PublicDefense(NAMES[type(one)], one.public_parameters()) for one in defenses)
    return bare.update, dataclasses.replace(bare, update=shared, public=dataclasses.replace(bare.public, defenses=told))


def distance(guess: Update, seen: UpdateObservation) -> float:
    update, (low, high) = declared(seen)
    return float(objective_for("declared", seen)(guess, (*update, *low, *high)))


def other(update: Update) -> Update:
    """Noise of every tensor's own size."""
    return noise_like(update)


@pytest.mark.parametrize(
    "defenses",
    [
        (),
        (Clip(norm=0.01),),
        (Sign(),),
        (Sign(), Clip(norm=0.1)),
        (RandomK(fraction=0.2), Sign()),
        (TopK(fraction=0.1),),
        (RandomK(fraction=0.1, rescale=True),),
        (Quantize(bits=4, rounding="nearest"),),
        (Clip(norm=0.01), TopK(fraction=0.1)),
    ],
    ids=lambda stack: "+".join(NAMES[type(one)] for one in stack) or "none",
)
def test_nothing_is_held_against_the_truth_and_much_against_another_update(defenses: tuple[Defense, ...]) -> None:
    truth, seen = behind(*defenses)
    for factor in (1.0, 30.0):  # lengths are hidden by clipping: they are fitted
        assert distance(tuple(factor * t for t in truth), seen) < 2e-3
    assert distance(other(truth), seen) > 0.05


def test_without_a_defence_it_is_the_cosine() -> None:
    truth, seen = behind()
    assert distance(other(truth), seen) == pytest.approx(float(cosine(other(truth), truth)), abs=1e-5)


def test_of_signs_only_a_value_on_the_wrong_side_of_zero_counts() -> None:
    truth, seen = behind(Sign())
    larger = tuple(torch.where(t.abs() > t.abs().median(), 3 * t, t) for t in truth)
    assert distance(larger, seen) < 1e-6
    assert float(cosine(larger, seen.update)) > 0.2  # what another objective holds against it
    flipped = tuple(torch.where(t.abs() > t.abs().median(), -t, t) for t in truth)
    assert distance(flipped, seen) > 1
    assert distance(tuple(-t for t in truth), seen) == pytest.approx(2)


def test_every_other_objective_is_the_one_of_its_name() -> None:
    assert objective_for("l2", behind(Sign())[1]) is l2


def test_signs_under_noise_are_no_signs_any_more() -> None:
    _, seen = behind(Sign(), Gaussian(std=0.1))
    update, (low, high) = declared(seen)
    assert all(torch.equal(a, t) and torch.equal(b, t) for a, t, b in zip(low, update, high, strict=True))


def test_an_entry_that_is_never_told_may_be_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defence that says infinite variance, as one that keeps a layer back, needs no rule of its own."""

    def first_is_hidden(self: Gaussian, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        return expected, (torch.full_like(variance[0], torch.inf), *variance[1:])

    monkeypatch.setattr(Gaussian, "seen_as", first_is_hidden)
    truth, seen = behind(Gaussian(std=0.0001))
    update, (low, high) = declared(seen)
    assert not update[0].any()
    assert bool((low[0] == -torch.inf).all() and (high[0] == torch.inf).all())
    assert torch.equal(low[1], seen.update[1])
    assert distance((torch.randn_like(truth[0]), *truth[1:]), seen) < 1e-2


def test_a_mean_over_clients_follows_no_client_s_rule() -> None:
    _, seen = behind(TopK(fraction=0.1), clients=2)
    update, (low, high) = declared(seen)
    assert all(torch.equal(a, t) and torch.equal(b, t) for a, t, b in zip(low, seen.update, high, strict=True))
    assert update is seen.update
