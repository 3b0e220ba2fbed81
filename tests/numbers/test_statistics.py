"""Means and spreads of what is there, and the intervals that stand beside them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench.numbers.statistics import (
    Summary,
    mean,
    paired_differences,
    paired_interval,
    summarise,
    summarise_many,
    target_means,
)

NUMBERS = st.floats(-1e6, 1e6) | st.integers(-100, 100).map(float)
TARGETS = st.lists(st.lists(NUMBERS | st.none() | st.just(math.nan), max_size=4), max_size=12)


def ends(summary: Summary) -> tuple[float, float]:
    """Both ends of an interval that is there."""
    assert summary.ci_low is not None
    assert summary.ci_high is not None
    return summary.ci_low, summary.ci_high


def kept(values: list[list[float | None]]) -> list[float]:
    return [v for target in values for v in target if v is not None and not math.isnan(v)]


@settings(deadline=None, max_examples=100)
@given(values=TARGETS)
def test_a_summary_is_of_the_items_that_are_there(values: list[list[float | None]]) -> None:
    summary, items = summarise(values), kept(values)
    if not items:
        assert summary is None
        return
    assert summary is not None
    assert summary.mean == pytest.approx(np.mean(items), rel=1e-9, abs=1e-9)
    assert summary.std == pytest.approx(np.std(items), rel=1e-6, abs=1e-6)
    counted = sum(bool(kept([target])) for target in values)
    assert summary.units == counted
    if counted == 1:
        assert (summary.ci_low, summary.ci_high) == (None, None)
    else:
        slack = 1e-9 * max(1.0, *map(abs, items))
        assert ends(summary)[0] - slack <= summary.mean <= ends(summary)[1] + slack


@settings(deadline=None, max_examples=25)
@given(values=TARGETS, shift=st.floats(-100, 100))
def test_adding_a_constant_moves_mean_and_interval_and_leaves_the_spread(
    values: list[list[float | None]], shift: float
) -> None:
    before = summarise(values)
    after = summarise([[None if v is None else v + shift for v in target] for target in values])
    if before is None:
        assert after is None
        return
    assert after is not None
    assert after.mean == pytest.approx(before.mean + shift, rel=1e-6, abs=1e-6)
    if before.ci_low is not None:
        moved = [end + shift for end in ends(before)]
        assert list(ends(after)) == pytest.approx(moved, rel=1e-5, abs=1e-4)
    assert after.std == pytest.approx(before.std, rel=1e-6, abs=1e-6)


def test_equal_values_always_give_equal_intervals() -> None:
    values = [[float(v), v + 0.5] for v in range(9)]
    first = summarise(values)
    np.random.seed(7)
    assert summarise(values) == first


def test_one_target_has_no_interval() -> None:
    assert summarise([[3.0, 5.0]]) == Summary(mean=4.0, std=1.0, ci_low=None, ci_high=None, units=1)
    assert summarise([[math.nan], [7.25], [None]]) == Summary(7.25, 0.0, None, None, 1)


def test_nothing_at_all_has_no_summary() -> None:
    assert summarise([]) is None
    assert summarise([[], [None, math.nan], [math.inf]]) is None


def test_what_an_interval_counts_is_the_target_not_the_picture() -> None:
    """Pictures of one batch that agree tell nothing new: repeating them must not narrow the interval."""
    once = summarise([[float(v)] for v in range(10)])
    eightfold = summarise([[float(v)] * 8 for v in range(10)])
    assert once is not None
    assert eightfold is not None
    assert ends(eightfold) == pytest.approx(ends(once))


def test_a_target_weighs_as_much_as_it_has_items() -> None:
    summary = summarise([[1.0, 1.0, 1.0], [5.0]])
    assert summary is not None
    assert summary.mean == 2.0


def test_a_paired_interval_excludes_zero_by_chance_in_one_of_twenty_pairs_of_runs() -> None:
    rng = np.random.default_rng(2021)
    repeats, alarms = 1500, 0
    for _ in range(repeats):
        before = rng.normal(20.0, 4.0, size=20)
        after = before + rng.normal(0.0, 1.0, size=20)
        interval = paired_interval(before.tolist(), after.tolist())
        assert interval is not None
        alarms += not interval[0] <= 0 <= interval[1]
    assert 0.03 <= alarms / repeats <= 0.07


def test_pairing_sees_a_small_change_that_the_spread_of_pictures_hides() -> None:
    rng = np.random.default_rng(5)
    before = rng.normal(20.0, 5.0, size=16)
    after = before - 0.5 + rng.normal(0.0, 0.1, size=16)
    interval = paired_interval(before.tolist(), after.tolist())
    assert interval is not None
    assert -0.6 < interval[0] < interval[1] < -0.4


def test_a_pair_with_an_empty_side_is_skipped() -> None:
    assert paired_differences([1.0, None, 3.0, math.nan], [2.0, 5.0, None, 1.0]) == [1.0]
    assert paired_interval([1.0, None, 3.0], [2.0, 5.0, None]) == (1.0, 1.0)
    assert paired_interval([None, 1.0], [1.0, None]) is None
    assert paired_interval([], []) is None


def test_different_numbers_of_targets_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired_interval([1.0, 2.0], [1.0])


def test_values_whose_sum_is_too_large_have_a_mean() -> None:
    assert mean([1.5e308, 1.5e308, None]) == 1.5e308


def test_a_target_s_value_is_the_mean_of_its_items_that_are_there() -> None:
    assert target_means([[1.0, 2.0], [None, 4.0], [None], []]) == [1.5, 4.0, None, None]
    assert target_means([[1.0], [None], [math.inf], [4]]) == [1.0, None, None, 4.0]  # one item each
    assert target_means([[1.0], [], [2.0, 4.0]]) == [1.0, None, 3.0]  # as many items as targets
    assert [math.copysign(1, value or 0.0) for value in target_means([[-0.0]])] == [1.0]


@settings(deadline=None, max_examples=50)
@given(many=st.lists(TARGETS, max_size=8))
def test_a_summary_is_the_same_bit_for_bit_alone_and_in_company(many: list[list[list[float | None]]]) -> None:
    assert summarise_many(many) == [summarise(values) for values in many]
