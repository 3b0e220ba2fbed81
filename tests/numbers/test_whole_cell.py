"""Statistics of whole cells against plain loops: value, bootstrap interval, pairing, and why one is empty."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

from invbench.numbers.bootstrap import DRAWS, drawn_weights
from invbench.numbers.ranking import Auc, TruePositiveRate
from invbench.numbers.whole_cell import Scores, estimate, paired, value

ITEMS = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=30).filter(
    lambda items: len({member for _, member in items}) == 2
)


def stored(items: list[tuple[float, bool]], targets: int = 1) -> Scores:
    """Items dealt to targets in turn."""
    return {
        "score": [[float(score) for score, _ in items[k::targets]] for k in range(targets)],
        "member": [[float(member) for _, member in items[k::targets]] for k in range(targets)],
    }


def looped_auc(items: list[tuple[float, bool]]) -> float:
    """Every pair of a member and another item, one by one."""
    members, others = ([s for s, is_member in items if is_member == side] for side in (True, False))
    wins = [1.0 if m > o else 0.5 if m == o else 0.0 for m, o in product(members, others)]
    return sum(wins) / len(wins) if wins else float("nan")


def looped_tpr(items: list[tuple[float, bool]], at: float) -> float:
    members, others = ([s for s, is_member in items if is_member == side] for side in (True, False))
    best = 0.0
    for threshold in {score for score, _ in items}:
        if sum(o >= threshold for o in others) <= at * len(others) + 1e-12:
            best = max(best, sum(m >= threshold for m in members) / len(members))
    return best


@settings(deadline=None, max_examples=100)
@given(items=ITEMS)
def test_the_auc_is_every_pair_one_by_one_and_scikit_learns(items: list[tuple[float, bool]]) -> None:
    found = value(Auc(), stored(items)).value
    assert found == pytest.approx(looped_auc(items))
    assert found == pytest.approx(roc_auc_score([m for _, m in items], [s for s, _ in items]))


@settings(deadline=None, max_examples=100)
@given(items=ITEMS, at=st.sampled_from([0.5, 0.25, 0.1]))
def test_the_true_positive_rate_is_the_best_of_all_thresholds(items: list[tuple[float, bool]], at: float) -> None:
    found = value(TruePositiveRate(at=at), stored(items))
    others = sum(not member for _, member in items)
    if others < 1 / at:
        assert found.why_empty == f"a false positive rate of {at:g} needs at least {1 / at:.0f} non-members, " + (
            f"there are {others}"
        )
    else:
        assert found.value == pytest.approx(looped_tpr(items, at))


@pytest.mark.parametrize("resampled", ["items", "targets"])
def test_the_interval_is_that_of_a_plain_loop_over_draws(resampled: str) -> None:
    drawn = np.random.default_rng(1)
    items = [(float(drawn.normal(member, 1.5)), bool(member)) for member in (drawn.random(24) < 0.5)]
    targets = 4
    in_order = [item for k in range(targets) for item in items[k::targets]]  # as the targets hold them, end to end
    units = [[n] for n in range(24)] if resampled == "items" else [list(range(6 * k, 6 * k + 6)) for k in range(4)]
    looped = []
    for weights in drawn_weights(len(units)):
        for times in weights.T:
            sample = [in_order[n] for unit, count in zip(units, times, strict=True) for n in unit * int(count)]
            looped.append(looped_auc(sample))
    assert len(looped) == DRAWS
    found = estimate(Auc(resampled=resampled), stored(items, targets))  # type: ignore[arg-type]
    assert found.value == pytest.approx(looped_auc(items))
    shift = looped_auc(items) - np.nanmean(looped) if resampled == "targets" else 0.0
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(np.nanquantile(looped, [0.025, 0.975]) + shift))
    assert found.ci_low < looped_auc(items) < found.ci_high


def test_an_interval_over_rounds_is_about_the_value_where_each_round_has_a_level_of_its_own() -> None:
    """A round that is drawn twice is ranked against itself, which is better than it is against others."""
    rounds = [[(10.0 * level + member, bool(member)) for member in (0, 1)] for level in range(4)]
    in_rounds = stored([item for one in zip(*rounds, strict=True) for item in one], 4)
    found = estimate(Auc(resampled="targets"), in_rounds)
    assert found.value == pytest.approx(10 / 16)
    assert found.ci_low < 10 / 16 < found.ci_high <= 1


def test_an_interval_ends_where_the_statistic_does() -> None:
    perfect = stored([(float(member), bool(member)) for member in (0, 1) for _ in range(4)], 4)
    found = estimate(Auc(resampled="targets"), perfect)
    assert (found.value, found.ci_low, found.ci_high) == (1, 1, 1)


def test_two_cells_are_compared_on_the_same_draws() -> None:
    drawn = np.random.default_rng(2)
    members = drawn.random(60) < 0.5
    items = [(float(drawn.normal(m, 1)), bool(m)) for m in members]
    same = paired(Auc(), stored(items), stored(items))
    assert not isinstance(same, str)
    assert same.interval == (0, 0)
    louder = [(score + 0.3 * member, member) for score, member in items]
    pair, alone = paired(Auc(), stored(items), stored(louder)), estimate(Auc(), stored(items))
    assert not isinstance(pair, str)
    assert pair.after - pair.before == pytest.approx(looped_auc(louder) - looped_auc(items))
    assert pair.interval[0] > 0, "the same candidates on both sides: what they share cancels"
    assert pair.interval[1] - pair.interval[0] < (alone.ci_high - alone.ci_low) / 2


def test_an_item_that_lost_its_score_is_counted_and_left_out_on_both_sides() -> None:
    before = {"score": [[0.1, 0.9, 0.4, 0.8]], "member": [[0.0, 1.0, 0.0, 1.0]]}
    after = {"score": [[0.1, None, 0.4, 0.8]], "member": before["member"]}
    found = paired(Auc(), before, after)  # type: ignore[arg-type]
    assert not isinstance(found, str)
    assert (found.lost, found.items, found.before, found.after) == (1, 4, 1.0, 1.0)


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        ({"score": [[None]], "member": [[1.0]]}, "no item has a value"),
        ({"score": [[0.5]], "member": [[1.0]]}, "it needs members and non-members"),
        ({"score": [[0.5, 0.1]], "member": [[1.0]]}, "score and member hold different numbers of items"),
    ],
)
def test_what_has_no_value_says_why(scores: Scores, why: str) -> None:
    found = estimate(Auc(), scores)
    assert (found.value, found.why_empty) == (None, why)


def test_items_without_a_finite_score_are_counted() -> None:
    scores: Scores = {"score": [[0.1, 0.9, float("inf"), None]], "member": [[0.0, 1.0, 1.0, 0.0]]}
    found = estimate(Auc(), scores)
    assert (found.value, found.left_out, found.items) == (1.0, 2, 4)


@pytest.mark.parametrize(("resampled", "units"), [("items", 4), ("targets", 3)])
def test_what_counts_is_the_rarer_side_and_no_more_than_the_targets_that_are_drawn(resampled: str, units: int) -> None:
    items = [(float(n), n < 4) for n in range(12)]
    found = estimate(Auc(resampled=resampled), stored(items, targets=3))  # type: ignore[arg-type]
    assert found.units == units


def test_other_numbers_of_items_cannot_be_paired() -> None:
    fewer = stored([(0.1, False), (0.9, True)])
    assert paired(Auc(), stored([(0.1, False), (0.9, True), (0.2, False)]), fewer) == (
        "other numbers of score and member than before: they cannot be paired"
    )


def test_draws_in_several_blocks_are_the_same_draws() -> None:
    blocks = list(drawn_weights(3000))  # 333 draws a block
    assert [len(block) for block in blocks] == [3000] * 7
    assert sum(block.shape[1] for block in blocks) == DRAWS
    assert all((block.sum(axis=0) == 3000).all() for block in blocks)
