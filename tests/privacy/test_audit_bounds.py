"""Lower bounds on epsilon from one run, against published numbers and against the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from invbench.privacy import audit_any, audit_exact, audit_tradeoff
from invbench.privacy.audit import any_of_thresholds, bounds, tradeoff_of_thresholds
from invbench.privacy.audit_counts import Counts, frontier, most_sure
from invbench.privacy.audit_family import GAUSSIAN


def at_quantiles(shift, n):
    """Scores of n members N(shift, 1) and of n others N(0, 1), at the quantiles (i + 1/2) / n."""
    normal = ndtri((np.arange(n) + 0.5) / n)
    return np.concatenate([normal + shift, normal]), np.arange(2 * n) < n


@pytest.mark.parametrize(
    ("shift", "thresholds", "any_mechanism", "tradeoff"),
    [(1, 386, 1.1335, 2.1647), (2, 374, 2.3119, 4.7218), (4, 140, 4.3956, 9.1338)],
)
def test_thresholds_on_the_frontier_give_the_published_bounds(shift, thresholds, any_mechanism, tradeoff):
    counted = frontier(*at_quantiles(shift, 10_000))
    assert len(counted) == thresholds
    assert any_of_thresholds(counted, 1e-6, 0.05) == pytest.approx(any_mechanism, abs=1e-3)
    assert tradeoff_of_thresholds(counted, 1e-6, 0.05, GAUSSIAN) == pytest.approx(tradeoff, abs=1e-3)


def test_with_many_canaries_and_a_large_delta_the_first_bound_proves_nothing():
    counted = frontier(*at_quantiles(1, 7500))
    assert any_of_thresholds(counted, 1e-5, 0.05) == 0
    assert tradeoff_of_thresholds(counted, 1e-5, 0.05, GAUSSIAN) == pytest.approx(1.87, abs=5e-3)


@pytest.mark.parametrize(
    ("mu", "n", "guessed", "wrong", "exact", "any_mechanism", "truth"),
    [
        (1, 1000, 1000, 309, 3.6700, 0.6902, 4.3772),
        (1, 10_000, 2500, 364, 4.1371, 1.6736, 4.3772),
        (2, 1000, 500, 20, 8.9216, 2.7928, 9.9973),
        (0.5, 10_000, 10_000, 4013, 1.8074, 0.3661, 1.9931),
    ],
)
def test_the_exact_tail_comes_nearer_to_the_truth_than_a_bound_of_any_mechanism(
    mu, n, guessed, wrong, exact, any_mechanism, truth
):
    counts = Counts(n, guessed, guessed - wrong)
    found = GAUSSIAN.epsilon(audit_exact.parameter_above(counts, GAUSSIAN, 0.05), 1e-5)
    assert found == pytest.approx(exact, abs=1e-3)
    assert audit_any.epsilon_above(counts, 1e-5, 0.05) == pytest.approx(any_mechanism, abs=1e-3)
    assert GAUSSIAN.epsilon(mu, 1e-5) == pytest.approx(truth, abs=1e-3)


def test_the_gaussian_curve_is_that_of_the_exact_mechanism():
    for mu, epsilon in ((1, 4.3772), (0.5, 1.9931), (0.25, 0.9263)):
        assert GAUSSIAN.epsilon(mu, 1e-5) == pytest.approx(epsilon, abs=1e-4)
    assert GAUSSIAN.epsilon(0.0, 1e-5) == 0
    assert GAUSSIAN.least_false(0.5, 1.0) == pytest.approx(0.158655, abs=1e-6)


@pytest.mark.parametrize("guessed", [500, 150])
def test_the_tail_is_the_distribution_of_wrong_guesses(guessed):
    simulated = wrong_guesses(1.0, 500, guessed, 2000)
    for wrong in np.quantile(simulated, (0.05, 0.5, 0.95), method="nearest"):
        tail = audit_exact.tail(Counts(500, guessed, guessed - int(wrong)), GAUSSIAN, 1.0)
        assert tail == pytest.approx(np.mean(simulated <= wrong), abs=0.035)  # 3 standard deviations of a share


@pytest.mark.parametrize(
    ("mu", "n", "guessed"),
    [(1.0, 500, 500), (2.0, 400, 200), pytest.param(0.25, 4000, 1000, marks=pytest.mark.slow)],
)
def test_of_two_thousand_audits_at_most_six_in_a_hundred_exceed_the_truth(mu, n, guessed):
    wrong, times = np.unique(wrong_guesses(mu, n, guessed, 2000), return_counts=True)
    over = [audit_exact.tail(Counts(n, guessed, guessed - int(u)), GAUSSIAN, mu) < 0.05 for u in wrong]  # mu is refuted
    assert 0.01 < times[over].sum() / 2000 <= 0.06


def test_scores_that_tell_nothing_prove_nothing_and_no_order_of_the_bounds_is_broken():
    drawn = np.random.default_rng(3)
    member = drawn.random(4000) < 0.5
    noise = drawn.normal(size=4000)
    found = bounds(noise, member, 0.0, delta=1e-5)
    assert (found.any, found.tradeoff, found.family) == (0, 0, "Gaussian")
    told = bounds(noise + 3 * member, member, 1.5, delta=1e-5)
    assert 0 < told.any < told.tradeoff < told.exact < GAUSSIAN.epsilon(3, 1e-5)


@pytest.mark.parametrize(("mu", "least", "most"), [(1.0, 19, 20), (0.25, 0, 1)])  # a quarter of the noise; as claimed
def test_on_a_number_told_beforehand_the_first_bound_refutes_a_quarter_of_the_noise(mu, least, most):
    """15,000 canaries, claimed 0.9263 at delta 1e-5: thresholds on the frontier found 17 of 20."""
    claimed, refuted = GAUSSIAN.epsilon(0.25, 1e-5), 0
    for audit in range(20):
        drawn = np.random.default_rng([5, audit])
        member = drawn.random(15_000) < 0.5
        counts = most_sure(drawn.normal(size=15_000) + mu * member, member, mu / 2, 300)
        refuted += audit_any.rejects(counts, claimed, 1e-5, 0.05)
    assert least <= refuted <= most


def test_the_number_of_guesses_changes_the_first_bound_alone():
    drawn = np.random.default_rng(6)
    member = drawn.random(4000) < 0.5
    scores = drawn.normal(size=4000) + 2 * member
    best, few = (bounds(scores, member, 1.0, delta=1e-5, surest=surest) for surest in (None, 0.1))
    assert few.any == audit_any.epsilon_above(most_sure(scores, member, 1.0, 400), 1e-5, 0.05)
    assert best.any != few.any
    assert (few.tradeoff, few.exact) == (best.tradeoff, best.exact)


def test_a_layer_that_is_not_noised_is_found_among_others_and_the_error_is_divided():
    drawn = np.random.default_rng(4)
    member = drawn.random(3000) < 0.5
    scores = 0.25 * member + drawn.normal(size=3000)
    scores[2900:] = member[2900:]
    layers = [slice(0, 2900), slice(2900, 3000)]
    together = bounds(scores, member, 0.125, delta=1e-5).exact
    apart = bounds(scores, member, 0.5, delta=1e-5, groups=layers).exact
    alone = bounds(scores[2900:], member[2900:], 0.5, delta=1e-5, error=0.025).exact
    assert together < 2 < 8 < apart
    assert apart == alone


def test_counts_are_of_guesses_on_canaries():
    scores, member = np.array([3.0, 2.0, -1.0, 0.4]), np.array([True, False, False, True])
    assert most_sure(scores, member, 0.5, 3) == Counts(4, 3, 2)
    assert {(one.guessed, one.right) for one in frontier(scores, member)} >= {(4, 2), (1, 1), (0, 0)}
    with pytest.raises(ValueError, match="right <= guessed"):
        Counts(4, 2, 3)


def test_a_tradeoff_curve_that_was_guessed_worse_than_chance_is_not_refuted():
    assert not audit_tradeoff.rejects(Counts(100, 50, 20), GAUSSIAN, 0.0, 0.05)
    assert audit_tradeoff.rejects(Counts(1000, 1000, 900), GAUSSIAN, 0.0, 0.05)


def wrong_guesses(mu, n, guessed, audits):
    """How many of the `guessed` surest of n guesses are wrong, in so many audits of N(0, 1) against N(mu, 1)."""
    drawn = np.random.default_rng(1)
    member = drawn.random((audits, n)) < 0.5
    above = drawn.normal(size=(audits, n)) + mu * member - mu / 2
    surest = np.argpartition(-np.abs(above), guessed - 1, axis=1)[:, :guessed]
    return np.take_along_axis((above > 0) != member, surest, axis=1).sum(axis=1)
