"""Distances between updates, against their formulas in NumPy, and what each of them ignores."""

from __future__ import annotations

import typing
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from invbench import registry
from invbench.defenses import Context, Defense, Stack
from invbench.defenses.clip import Clip
from invbench.defenses.gaussian import Gaussian
from invbench.defenses.quantize import Quantize
from invbench.defenses.random_k import RandomK
from invbench.defenses.top_k import TopK
from invbench.matching.objectives import (
    INTERVALS,
    OBJECTIVES,
    cosine,
    interval_cosine,
    l2,
    layer_l2,
    layer_norms,
    masked_cosine,
)
from invbench.matching.recipe import Recipe
from invbench.observation import Update

SHAPES = ((3, 2), (4,), (2, 1, 3, 3))
VALUES = st.floats(0.125, 8, width=32) | st.floats(-8, -0.125, width=32)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Update, Update]:
    """Two updates of the same one to four shapes, float64, no coordinate zero."""
    shapes = draw(st.lists(array_shapes(max_dims=4, max_side=4), min_size=1, max_size=4))
    one, two = (tuple(torch.from_numpy(draw(arrays(np.float64, s, elements=VALUES))) for s in shapes) for _ in range(2))
    return one, two


def drawn(seed: int) -> Update:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for shape in SHAPES)


def held(name: str, seen: Update) -> Update:
    """What the objective is held against where nothing is left open."""
    return (*seen, *seen, *seen) if OBJECTIVES[name] in INTERVALS else seen


def interval(seen: Update, *defenses: Defense) -> Update:
    """The update seen, and the ends of its intervals behind these defences."""
    low, high = Stack(defenses).interval(seen)
    return (*seen, *low, *high)


def vector(update: Update) -> Any:
    return np.concatenate([tensor.numpy().ravel() for tensor in update])


def scaled(update: Update, factor: float) -> Update:
    return tuple(factor * tensor for tensor in update)


def angle(a: Any, b: Any) -> float:
    return float(1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@settings(deadline=None, max_examples=30)
@given(pair=pairs())
def test_every_objective_is_its_formula(pair: tuple[Update, Update]) -> None:
    one, two = pair
    a, b = vector(one), vector(two)
    ratios = [((x - y).square().sum() / y.square().sum()).item() for x, y in zip(one, two, strict=True)]
    assert float(l2(one, two)) == pytest.approx(((a - b) ** 2).sum())
    assert float(layer_l2(one, two)) == pytest.approx(np.mean(ratios))
    assert float(layer_norms(one, two)) == pytest.approx(
        sum(float((x - y).norm()) for x, y in zip(one, two, strict=True))
    )
    assert float(cosine(one, two)) == pytest.approx(angle(a, b), abs=1e-12)
    assert float(masked_cosine(one, two)) == pytest.approx(angle(a, b), abs=1e-12)
    if a @ b > 0:  # else the scale that brings them nearest is none
        assert float(interval_cosine(one, held("interval-cosine", two))) == pytest.approx(angle(a, b), abs=1e-12)


@settings(deadline=None, max_examples=20)
@given(pair=pairs(), one=st.floats(1e-3, 1e3), two=st.floats(1e-3, 1e3))
def test_cosine_does_not_see_how_long_either_update_is(pair: tuple[Update, Update], one: float, two: float) -> None:
    apart = float(cosine(*pair))
    assert float(cosine(scaled(pair[0], one), scaled(pair[1], two))) == pytest.approx(apart, abs=1e-12)
    assert float(cosine(scaled(pair[0], -one), pair[1])) == pytest.approx(2 - apart, abs=1e-12)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_equal_updates_are_at_distance_zero_with_a_slope_of_zero(name: str) -> None:
    simulated = tuple(t.clone().requires_grad_() for t in drawn(0))
    distance = OBJECTIVES[name](simulated, held(name, drawn(0)))
    assert distance.item() == pytest.approx(0, abs=1e-12)
    for slope in torch.autograd.grad(distance, simulated):
        assert slope.abs().max() < 1e-12


def test_cosine_of_opposite_updates_is_two_and_of_perpendicular_ones_is_one() -> None:
    along, across = (torch.tensor([1.0, 0.0]), torch.zeros(2)), (torch.zeros(2), torch.tensor([0.0, 3.0]))
    assert float(cosine(along, scaled(along, -2))) == pytest.approx(2)
    assert float(cosine(along, across)) == pytest.approx(1)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
@pytest.mark.parametrize(("simulated", "seen"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_an_update_of_nothing_has_a_finite_distance_and_a_finite_slope(
    name: str, simulated: float, seen: float
) -> None:
    variable = tuple(t.requires_grad_() for t in scaled(drawn(0), simulated))
    distance = OBJECTIVES[name](variable, held(name, scaled(drawn(1), seen)))
    slopes = torch.autograd.grad(distance, variable)
    assert torch.isfinite(distance)
    assert all(torch.isfinite(slope).all() for slope in slopes)
    if "cosine" in name:
        assert distance.item() == 1  # no direction: neither near nor opposite


def test_layer_l2_counts_every_tensor_alike_and_l2_does_not() -> None:
    simulated, seen = drawn(0), drawn(1)
    small = (simulated[0], simulated[1] * 1e-3, simulated[2]), (seen[0], seen[1] * 1e-3, seen[2])
    assert float(layer_l2(*small)) == pytest.approx(float(layer_l2(simulated, seen)))
    assert float(l2(*small)) != pytest.approx(float(l2(simulated, seen)), rel=1e-3)


def test_layer_l2_leaves_a_tensor_that_was_all_zero_as_an_absolute_difference() -> None:
    simulated, seen = (torch.tensor([3.0, 4.0]), torch.tensor([2.0])), (torch.zeros(2), torch.tensor([1.0]))
    assert float(layer_l2(simulated, seen)) == pytest.approx((25 + 1) / 2)


def test_masked_cosine_looks_only_at_what_was_sent() -> None:
    simulated, seen = drawn(0), drawn(1)
    sparse = tuple(torch.where(t.abs() > 0.7, t, 0.0) for t in seen)
    a, b = vector(simulated), vector(sparse)
    assert 0 < (b != 0).sum() < len(b)
    assert float(masked_cosine(simulated, sparse)) == pytest.approx(angle(a[b != 0], b[b != 0]))
    assert float(cosine(simulated, sparse)) == pytest.approx(angle(a, b))
    other = tuple(torch.where(s == 0, t + 5, t) for t, s in zip(simulated, sparse, strict=True))
    assert float(masked_cosine(other, sparse)) == pytest.approx(float(masked_cosine(simulated, sparse)))
    assert float(masked_cosine(seen, sparse)) == pytest.approx(0, abs=1e-12)
    assert float(cosine(seen, sparse)) > 0.01


def test_interval_cosine_does_not_look_at_what_random_k_left_out() -> None:
    simulated, seen = drawn(0), drawn(1)
    sent = tuple(torch.where(t.abs() > 0.7, t, 0.0) for t in seen)
    kept = sum(int(t.count_nonzero()) for t in sent) / sum(t.numel() for t in sent)
    against = interval(sent, RandomK(fraction=kept))
    other = tuple(torch.where(s == 0, t + 5, t) for t, s in zip(simulated, sent, strict=True))
    assert float(interval_cosine(simulated, against)) == pytest.approx(float(masked_cosine(simulated, sent)))
    assert float(interval_cosine(other, against)) == pytest.approx(float(interval_cosine(simulated, against)))
    assert float(interval_cosine(seen, against)) == pytest.approx(0, abs=1e-12)


def test_interval_cosine_finds_fault_with_what_top_k_would_have_sent_and_with_nothing_below_it() -> None:
    seen = drawn(1)
    sent = TopK(fraction=0.4).update(seen, Context(torch.Generator()))
    against = interval(sent, TopK(fraction=0.4))
    least = float(torch.cat([t[t != 0].abs() for t in sent]).min())
    below = tuple(torch.where(s == 0, 0.9 * least, s) for s in sent)
    above = tuple(torch.where(s == 0, 1.1 * least, s) for s in sent)
    assert float(interval_cosine(seen, against)) == pytest.approx(0, abs=1e-12)
    assert float(interval_cosine(below, against)) == pytest.approx(0, abs=1e-12)
    assert float(interval_cosine(above, against)) > 1e-4
    assert float(cosine(seen, sent)) > 0.01  # what another objective holds against the truth


def test_interval_cosine_counts_whatever_rounds_to_the_same_level_as_equal() -> None:
    seen = drawn(1)
    rounding = Quantize(bits=4, rounding="nearest")
    sent = rounding.update(seen, Context(torch.Generator()))
    assert float(interval_cosine(seen, interval(sent, rounding))) == pytest.approx(0, abs=1e-12)
    assert float(cosine(seen, sent)) > 1e-4
    assert float(interval_cosine(tuple(-t for t in seen), interval(sent, rounding))) > 1
    drawn_levels = Quantize(bits=4)  # between two levels by chance: noise, no rule
    assert float(interval_cosine(seen, interval(sent, drawn_levels))) == pytest.approx(float(cosine(seen, sent)))


def test_the_intervals_of_every_rule_and_of_their_stacks_hold_what_the_client_computed() -> None:
    seen = tuple(t.float() for t in drawn(3))
    rules = [RandomK(fraction=0.5, rescale=True), TopK(fraction=0.5), Quantize(bits=3, rounding="nearest")]
    for stack in (*((rule,) for rule in rules), (rules[1], rules[2]), (rules[0], rules[2])):
        shared = Stack(stack).at("update", seen, Context(torch.Generator().manual_seed(0)))
        low, high = Stack(stack).interval(shared)
        for a, t, b in zip(low, seen, high, strict=True):
            assert (a <= t + 1e-6).all()
            assert (t <= b + 1e-6).all()
        assert Stack(stack).leaves_open
    assert not Stack((Clip(norm=1.0), Gaussian(std=0.1))).leaves_open


def test_where_a_later_defence_fills_the_zeros_no_rule_is_seen() -> None:
    noisy = Stack((TopK(fraction=0.5), Gaussian(std=0.1)))
    shared = noisy.at("update", drawn(3), Context(torch.Generator().manual_seed(0)))
    low, high = noisy.interval(shared)
    assert all(torch.equal(a, t) and torch.equal(t, b) for a, t, b in zip(low, shared, high, strict=True))


def test_the_objectives_are_those_that_a_matrix_may_name() -> None:
    named = typing.get_args(typing.get_type_hints(Recipe)["objective"])
    assert set(named) == set(OBJECTIVES)
    for name in ("dlg", "idlg", "inverting-gradients"):
        assert set(registry.load("attack", name).parameters["objective"].choices) == set(OBJECTIVES)
