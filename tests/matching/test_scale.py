"""A client's loss that is scaled otherwise than assumed: what it shares, and that the factor is fitted or told of."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from made_updates import digits, normalised, observe, victim
from torch import Tensor
from torch.nn import functional

from invbench.attacks.auto import Auto
from invbench.attacks.learned_inverse import LearnedInverse
from invbench.attacks.peel import Peel
from invbench.labels import label_strategy
from invbench.matching.objectives import OBJECTIVES
from invbench.matching.recipe import Recipe
from invbench.matching.scale import fitted
from invbench.metrics import psnr
from invbench.observation import Guess, Update, UpdateObservation
from invbench.updates.simulation import as_gradient

IMAGES, LABELS = digits(4)
NETWORK = victim(IMAGES)
SEARCH = Recipe(iterations=38, objective="l2", optimizer="lbfgs-wolfe", boxed=False)


def seen_of(images: Tensor, labels: Tensor, *, hidden: bool = False, **settings: Any) -> UpdateObservation:
    """What the server sees; `hidden`: as of clients whose loss it is not told of."""
    seen = observe(NETWORK, images, labels, **settings)
    if not hidden:
        return seen
    said = {**seen.public.protocol_settings, "reduction": "mean", "loss_scale": 1.0, "loss": "hidden"}
    return replace(seen, public=replace(seen.public, protocol_settings=said))


def by_sgd(reduction: str, factor: float, steps: int, lr: float) -> Update:
    """What `torch.optim.SGD` changes by steps on the whole batch, by the loss as it is in PyTorch."""
    client = copy.deepcopy(NETWORK)
    optimizer = torch.optim.SGD(client.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        (factor * functional.cross_entropy(client(normalised(IMAGES)), LABELS, reduction=reduction)).backward()
        optimizer.step()
    pairs = zip(client.parameters(), NETWORK.parameters(), strict=True)
    return tuple((after - before).detach() for after, before in pairs)


@pytest.mark.parametrize(("reduction", "factor"), [("sum", 1.0), ("mean", 3.0), ("sum", 0.5)])
def test_a_scaled_loss_is_that_of_pytorch_and_is_divided_out_again_where_it_is_told(
    reduction: str, factor: float
) -> None:
    loss: dict[str, Any] = {"reduction": reduction, "loss_scale": factor}
    plain, scaled = seen_of(IMAGES, LABELS), seen_of(IMAGES, LABELS, **loss)
    times = factor * (4 if reduction == "sum" else 1)
    for a, b, c in zip(scaled.update, plain.update, as_gradient(scaled), strict=True):
        torch.testing.assert_close(a, times * b)
        torch.testing.assert_close(c, b)
    several = seen_of(IMAGES, LABELS, protocol="fedavg", steps=3, lr=0.05, **loss)
    for a, b in zip(several.update, by_sgd(reduction, factor, 3, 0.05), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def answer(search: Recipe, seen: UpdateObservation) -> tuple[Guess, float]:
    [guess] = search.attack_all([replace(seen, generator=torch.Generator().manual_seed(3))])
    return guess, float(psnr(guess.images, IMAGES[: len(guess.images)]).mean())


@pytest.mark.parametrize("objective", ["l2", "layer-l2"])
def test_a_sum_that_nobody_told_of_is_found_and_the_pictures_are_read_as_well(objective: Any) -> None:
    search = replace(SEARCH, objective=objective)
    images, labels = IMAGES[:2], LABELS[:2]
    untold = seen_of(images, labels, hidden=True, reduction="sum")
    _, told = answer(search, seen_of(images, labels, reduction="sum"))
    guess, read = answer(replace(search, scale="fitted"), untold)
    believed, misled = answer(search, untold)
    assert guess.facts["loss_scale"] == pytest.approx(2, rel=1e-3)
    assert read > told - 1  # the searches are cut off on their way
    assert misled < read - 3
    assert not guess.notes
    assert any("is hidden and taken for that of a mean" in note for note in believed.notes)


def test_of_several_steps_the_factor_is_one_on_their_rate_and_is_sought_too() -> None:
    given: dict[str, Any] = {"protocol": "fedavg", "steps": 2, "lr": 0.02, "loss_scale": 2.5}
    untold = seen_of(IMAGES[:1], LABELS[:1], hidden=True, **given)
    guess, read = answer(replace(SEARCH, scale="fitted"), untold)
    _, misled = answer(SEARCH, untold)
    assert guess.facts["loss_scale"] == pytest.approx(2.5, rel=0.01)
    assert read > misled + 3


def test_a_known_scale_needs_no_fit_and_cosines_know_none() -> None:
    seen = seen_of(IMAGES[:1], LABELS[:1])
    guess, _ = answer(replace(SEARCH, scale="fitted"), seen)
    assert guess.facts["loss_scale"] == pytest.approx(1, abs=1e-3)
    assert fitted(OBJECTIVES["cosine"]) is OBJECTIVES["cosine"]
    adam = Recipe(iterations=5)
    blind, fits = (answer(one, seen)[0] for one in (adam, replace(adam, scale="fitted")))
    assert torch.equal(blind.images, fits.images)
    hidden = seen_of(IMAGES[:1], LABELS[:1], hidden=True, loss_scale=3.0)
    assert not answer(adam, hidden)[0].notes  # a direction is as long as it likes


@pytest.mark.parametrize("simulate", [True, False])
def test_an_objective_without_a_best_factor_in_closed_form_has_it_as_a_variable(simulate: bool) -> None:
    hidden = seen_of(IMAGES[:1], LABELS[:1], hidden=True, loss_scale=2.5)
    search = replace(SEARCH, objective="layer-norms", simulate=simulate)
    guess, read = answer(replace(search, scale="fitted"), hidden)
    blind, misled = answer(search, hidden)
    assert guess.facts["loss_scale"] == pytest.approx(2.5, rel=0.05)
    assert read > misled + 3
    assert blind.notes == (
        "the scale of the clients' loss is hidden and taken for that of a mean; `scale: fitted` fits it",
    )


def test_where_no_positive_factor_helps_there_is_a_slope_back() -> None:
    seen = (torch.tensor([1.0, 2.0]),)
    distance = fitted(OBJECTIVES["l2"])
    turned = torch.tensor([-1.0, 0.2], requires_grad=True)
    value = distance((turned,), seen)
    (slope,) = torch.autograd.grad(value, turned)
    assert float(value.detach()) > 5
    assert float(slope @ seen[0]) < 0  # towards what was seen
    for factor in (0.1, 7.0):
        assert float(distance((factor * seen[0],), seen)) == pytest.approx(0, abs=1e-9)


def test_whoever_compares_lengths_is_unsupported_where_the_scale_is_hidden() -> None:
    hidden = seen_of(IMAGES[:1], LABELS[:1], hidden=True, reduction="sum").public
    why = "needs the scale of the clients' loss, which the protocol hides; searches fit it (`scale: fitted`)"
    assert [attack.unsupported(hidden) for attack in (Auto(), Peel(), LearnedInverse())] == [why] * 3
    batch = replace(hidden, batch_size=4, labels="hidden")
    assert {asked: label_strategy(asked, batch)[1] for asked in ("ilrg", "rlu", "llg-dummy")}["ilrg"] == why
    assert label_strategy("idlg", hidden)[1] is None
