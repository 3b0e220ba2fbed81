import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis.strategies import integers
from sklearn.metrics import roc_auc_score

from invbench.metrics import macro_auc, macro_auc_pseudo_values

seeds = integers(0, 2**32 - 1)


def people(seed, n, levels=5):
    """Scores with many ties over three classes of very different sizes, some perhaps empty."""
    random = np.random.default_rng(seed)
    truth = random.choice(3, size=n, p=[0.6, 0.3, 0.1])
    return random.integers(0, levels, (n, 3)) / levels + 0.1 * np.eye(3)[truth], truth


def counted(truth):
    return [k for k in range(3) if 2 <= (truth == k).sum() < len(truth)]


def expected(scores, truth, classes):
    return np.mean([roc_auc_score(truth == k, scores[:, k]) for k in classes])


@settings(deadline=None, max_examples=60)
@given(seed=seeds, n=integers(4, 40))
def test_macro_auc_is_scikit_learns_mean_over_the_classes_that_count(seed, n):
    scores, truth = people(seed, n)
    if counted(truth):
        assert macro_auc(scores, truth) == pytest.approx(expected(scores, truth, counted(truth)), abs=1e-12)
    else:
        assert np.isnan(macro_auc(scores, truth))


@settings(deadline=None, max_examples=60)
@given(seed=seeds, n=integers(4, 30))
def test_pseudo_values_average_to_the_macro_auc(seed, n):
    scores, truth = people(seed, n)
    values = macro_auc_pseudo_values(scores, truth)
    assert values.shape == (n,)
    assert values.mean() == pytest.approx(macro_auc(scores, truth), abs=1e-12, nan_ok=True)


@settings(deadline=None, max_examples=8)
@given(seed=seeds)
def test_a_pseudo_value_is_what_leaving_that_person_out_changes(seed):
    scores, truth = people(seed, 14)
    classes = counted(truth)
    assume(classes and all((truth != k).sum() >= 2 for k in classes))  # a lone other has its own test
    whole = expected(scores, truth, classes)
    left_out = [np.arange(14) != i for i in range(14)]
    brute = [14 * whole - 13 * expected(scores[rest], truth[rest], classes) for rest in left_out]
    assert macro_auc_pseudo_values(scores, truth) == pytest.approx(brute, abs=1e-9)


def test_the_only_other_of_a_class_takes_nothing_away():
    scores, truth = np.array([[0.9], [0.2], [0.7], [0.5]]) * [[1, -1]], np.array([0, 0, 0, 1])
    assert macro_auc(scores, truth) == pytest.approx(2 / 3)
    values = macro_auc_pseudo_values(scores, truth)
    assert values[3] == pytest.approx(2 / 3)
    assert values.mean() == pytest.approx(2 / 3)


def test_perfect_reversed_and_constant_scores():
    truth = np.array([0, 0, 1, 1, 2, 2])
    assert macro_auc(np.eye(3)[truth], truth) == 1
    assert macro_auc(-np.eye(3)[truth], truth) == 0
    assert macro_auc(np.zeros((6, 3)), truth) == 0.5


def test_a_class_with_one_member_does_not_count_but_its_member_is_anothers_other():
    truth = np.array([0, 0, 1])
    scores = np.array([[0.9, 0.0], [0.1, 0.0], [0.5, 1.0]])
    assert macro_auc(scores, truth) == 0.5


def test_without_a_class_that_counts_there_is_no_auc():
    for truth in (np.array([0, 0]), np.array([0, 1]), np.array([], dtype=int)):
        scores = np.zeros((len(truth), 2))
        with np.errstate(all="raise"):
            assert np.isnan(macro_auc(scores, truth))
            assert np.isnan(macro_auc_pseudo_values(scores, truth)).all()


@pytest.mark.parametrize(
    ("scores", "truth", "message"),
    [
        (np.zeros((3, 2)), np.array([0, 1]), r"need scores \(N, K\) and truth \(N,\)"),
        (np.zeros(2), np.array([0, 1]), r"need scores \(N, K\) and truth \(N,\)"),
        (np.zeros((2, 2)), np.array([0.0, 1.0]), "truth must hold class indexes, not float64"),
        (np.zeros((2, 2)), np.array([0, 2]), "truth must hold classes 0 to 1"),
        (np.zeros((2, 2)), np.array([-1, 1]), "truth must hold classes 0 to 1"),
        (np.array([[0.0, np.nan], [0.0, 0.0]]), np.array([0, 1]), "scores hold NaN"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores, truth, message):
    for call in (macro_auc, macro_auc_pseudo_values):
        with pytest.raises(ValueError, match=message):
            call(scores, truth)
