"""Priors beside mean total variation: their formulas, and that a search gets what its observation tells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from made_updates import normalised, observe, photographs, public, victim
from torch import Tensor, nn

from invbench.matching.objectives import OBJECTIVES
from invbench.matching.problem import Problem, build_problem
from invbench.matching.recipe import Recipe
from invbench.matching.terms import of_differences, of_lengths, of_statistics
from invbench.observation import UpdateObservation
from invbench.protocol._batch_norm import statistics_of, use_batch_statistics

BATCH = 4


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, stride=2), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 6, 3, stride=2), nn.BatchNorm2d(6),
        nn.Tanh(), nn.Flatten(), nn.Linear(54, 10),
    ).eval()  # fmt: skip


def told(count: int = 2, *, trains: bool = False) -> list[UpdateObservation]:
    """Observations of batches of four, each with its own statistics given outright."""
    images, labels = photographs(count * BATCH)
    made = use_batch_statistics(network()) if trains else network()
    mode: dict[str, Any] = {"batch_norm": "train" if trains else "eval", "batch_statistics": "given"}
    return [
        replace(observe(made, some, given, seed=k, **mode), statistics=statistics_of(made, normalised(some)))
        for k, (some, given) in enumerate(zip(images.split(BATCH), labels.split(BATCH), strict=True))
    ]


def problem(seen: list[UpdateObservation], weight: float, planned: int = 0) -> Problem:
    terms = [of_statistics(weight, seen[0])]
    labels = [one.labels for one in seen]
    return build_problem(seen, labels, OBJECTIVES["cosine"], 0.0, boxed=False, planned=planned, terms=terms)


def truth(count: int = 2) -> Tensor:
    return normalised(photographs(count * BATCH)[0]).reshape(count, -1)


def drawn(count: int = 2) -> Tensor:
    return torch.randn(count, BATCH * 768, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("trains", [True, False])
def test_the_batch_itself_is_at_distance_zero_of_its_own_statistics_and_its_slope_is_finite(trains: bool) -> None:
    seen = told(trains=trains)
    at = problem(seen, 1.0).evaluate(truth())
    assert (at.total - at.objective).abs().max() < 1e-4
    assert at.gradient.isfinite().all()
    swapped = problem(seen, 1.0).evaluate(truth().flip(0))
    assert ((swapped.total - swapped.objective) > 1e-2).all(), "each lane is held against its own"


def test_it_is_the_sum_over_layers_of_two_norms() -> None:
    [seen, _], images = told(), drawn(1).reshape(BATCH, 3, 16, 16)
    term, values, expected = of_statistics(2.0, seen), images, torch.zeros(())
    assert seen.statistics is not None
    with torch.no_grad():
        for name, layer in seen.model.named_children():
            if isinstance(layer, nn.BatchNorm2d):
                mean, variance = values.mean(dim=(0, 2, 3)), values.var(dim=(0, 2, 3), unbiased=False)
                one = seen.statistics[name]
                expected = expected + (mean - one.mean).norm() + (variance - one.variance).norm()
            values = layer(values)
        found = term.cost(images, term.beside(seen))
    torch.testing.assert_close(found, expected)
    at, without = problem([seen], 2.0).evaluate(drawn(1)), problem([seen], 0.0).evaluate(drawn(1))
    torch.testing.assert_close(at.total - without.total, 2 * expected[None], rtol=1e-4, atol=1e-5)
    assert torch.equal(at.objective, without.objective)


def test_of_several_clients_each_batch_is_held_against_them() -> None:
    [seen, _], images = told(), drawn(1).reshape(BATCH, 3, 16, 16)
    two = replace(seen, public=replace(seen.public, clients=2, batch_size=2))
    term, alone = of_statistics(1.0, two), of_statistics(1.0, seen)
    with torch.no_grad():
        halves = [alone.cost(half, alone.beside(seen)) for half in images.chunk(2)]
        torch.testing.assert_close(term.cost(images, term.beside(two)), torch.stack(halves).mean())


def test_a_traced_evaluation_has_the_same_bits_and_lanes_keep_their_own_statistics() -> None:
    plain, traced = problem(told(), 1.0), problem(told(), 1.0, planned=10**6)
    for which in (torch.tensor([0, 1]), torch.tensor([1])):
        one, two = (made.only(which).evaluate(drawn()[which]) for made in (plain, traced))
        assert torch.equal(one.gradient, two.gradient)
        assert torch.equal(one.total, two.total)
    assert not traced.programs.notes


def test_differences_and_lengths_are_their_formulas() -> None:
    images = torch.tensor([[[[0.0, 1.0], [3.0, 7.0]]], [[[0.0, 0.0], [0.0, 2.0]]]])  # (2, 1, 2, 2)
    right, down, falling, rising = (1 + 16 + 0 + 4) ** 0.5, (9 + 36 + 0 + 4) ** 0.5, (49 + 4) ** 0.5, (4 + 0) ** 0.5
    assert float(of_differences(1.0).cost(images, ())) == pytest.approx(right + down + falling + rising)
    assert float(of_lengths(1.0).cost(images, ())) == pytest.approx((59**0.5 + 2) / 2)
    flat = torch.zeros(2, 1, 2, 2, requires_grad=True)
    for term in (of_differences(1.0), of_lengths(1.0)):
        [slope] = torch.autograd.grad(term.cost(flat, ()), flat)
        assert not slope.any(), "no infinite slope where nothing differs"


def test_a_network_without_batch_norm_is_told_before_anything_is_computed() -> None:
    plain = public(victim(photographs(1)[0]), (3, 16, 16))
    assert Recipe(statistics=0.1).unsupported(plain) == "statistics: victim has no BatchNorm"
    assert Recipe().unsupported(plain) is None
    assert Recipe(statistics=0.1).unsupported(public(network(), (3, 16, 16))) is None


def test_batch_norm_that_remembers_nothing_holds_pictures_against_nothing() -> None:
    images, labels = photographs(BATCH)
    made = use_batch_statistics(network())
    with pytest.raises(ValueError, match="keeps no statistics"):
        of_statistics(1.0, observe(made, images, labels, batch_norm="train"))
