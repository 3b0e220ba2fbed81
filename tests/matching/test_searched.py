"""What is searched in the place of pixels: the identity is the pixels themselves, and constants are each target's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from made_updates import digits, normalised, observe, victim
from torch import Tensor

from invbench.attacks.inverting_gradients import InvertingGradients
from invbench.matching.objectives import OBJECTIVES
from invbench.matching.problem import Problem, build_problem
from invbench.matching.searched import Parametrisation
from invbench.observation import UpdateObservation

LANES, BATCH, SHAPE = 3, 2, (2, 1, 8, 8)
PIXELS = Parametrisation(
    128, lambda numbers, _: numbers.reshape(SHAPE), lambda drawn: torch.randn(128, generator=drawn)
)


def observed() -> list[UpdateObservation]:
    images, labels = digits(LANES * BATCH)
    network = victim(images)
    return [observe(network, x, y) for x, y in zip(images.split(BATCH), labels.split(BATCH), strict=True)]


def problem_of(searched: Parametrisation | None, *, joint: bool = False, planned: int = 0) -> Problem:
    seen = observed()
    labels = [None if joint else one.labels for one in seen]
    return build_problem(seen, labels, OBJECTIVES["cosine"], 0.1, False, planned, searched=searched)


def drawn(size: int) -> Tensor:
    return torch.randn(LANES, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("joint", [False, True])
def test_the_identity_is_the_search_of_pixels_bit_for_bit(joint: bool) -> None:
    plain, own = problem_of(None, joint=joint), problem_of(PIXELS, joint=joint)
    assert plain.size == own.size
    at = drawn(plain.size)
    one, two = plain.evaluate(at), own.evaluate(at)
    assert torch.equal(one.gradient, two.gradient)
    assert torch.equal(one.total, two.total)
    assert torch.equal(plain.images(at), own.images(at))
    assert torch.equal(plain.guessed_labels(at), own.guessed_labels(at))


@pytest.mark.parametrize("planned", [0, 10**6])
def test_every_target_has_its_own_constants(planned: int) -> None:
    """What is searched is the difference to a picture of the target's own."""
    truth = normalised(digits(LANES * BATCH)[0]).reshape(LANES, -1)
    apart = replace(PIXELS, pictures=lambda n, beside: (n + beside[0]).reshape(SHAPE), beside=(truth,))
    problem = problem_of(apart, planned=planned)
    still = torch.zeros(LANES, 128)
    assert problem.evaluate(still).objective.max() < 1e-6
    assert torch.equal(problem.images(still).reshape(LANES, -1), truth)
    chosen = torch.tensor([2, 0, 0])
    assert problem.only(chosen).evaluate(still).objective.max() < 1e-6
    wrong = replace(problem.only(chosen), beside=problem.beside)
    assert wrong.evaluate(still).objective[0] > 1e-2


def test_a_cost_on_the_numbers_is_added_and_is_no_part_of_the_objective() -> None:
    plain, costly = problem_of(PIXELS), problem_of(replace(PIXELS, cost=lambda numbers: 0.5 * numbers.square().sum()))
    at = drawn(128)
    one, two = plain.evaluate(at), costly.evaluate(at)
    assert torch.equal(one.objective, two.objective)
    torch.testing.assert_close(two.total, one.total + at.square().sum(dim=1) / 2)
    torch.testing.assert_close(two.gradient, one.gradient + at)


def test_a_recipe_searches_what_its_preset_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """No box holds it; its start is its own, drawn before the logits'."""
    halved = replace(PIXELS, pictures=lambda n, _: n.reshape(SHAPE) / 2, start=lambda drawn: torch.full((128,), 100.0))
    attack = InvertingGradients(iterations=2)
    boxed = attack.attack_all(observed()[:1])[0]
    monkeypatch.setattr(InvertingGradients, "_searched", lambda *_: halved)
    free = attack.attack_all(observed()[:1])[0]
    assert bool((free.images == 1).all())
    assert not bool((boxed.images == 1).all())
