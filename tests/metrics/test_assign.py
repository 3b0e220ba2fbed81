from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import integers

from invbench.metrics import assign

seeds = integers(0, 2**32 - 1)


def batch(random, count):
    return random.random((count, 3, 6, 5))


@settings(deadline=None, max_examples=40)
@given(seed=seeds, count=integers(1, 12))
def test_matching_undoes_any_permutation_of_a_noisy_batch(seed, count):
    random = np.random.default_rng(seed)
    originals, order = batch(random, count), random.permutation(count)
    guesses = np.clip(originals + random.normal(0, 0.05, originals.shape), 0, 1)[order]
    index = assign(torch.from_numpy(guesses), originals)
    assert np.array_equal(order[index], np.arange(count))


@settings(deadline=None, max_examples=40)
@given(seed=seeds, few=integers(0, 5), more=integers(1, 5))
def test_an_original_without_a_guess_gets_none_and_a_guess_too_many_is_left(seed, few, more):
    random = np.random.default_rng(seed)
    many = few + more
    pool, chosen = batch(random, many), random.permutation(many)[:few]
    missing = np.setdiff1d(np.arange(many), chosen)

    index = assign(pool[chosen], pool)
    assert np.array_equal(index[chosen], np.arange(few))
    assert (index[missing] == -1).all()

    assert np.array_equal(assign(pool, pool[chosen]), chosen)


@settings(deadline=None, max_examples=30)
@given(seed=seeds)
def test_the_assignment_has_the_least_total_error_of_all(seed):
    random = np.random.default_rng(seed)
    guesses, originals = batch(random, 4) ** 3, batch(random, 4)

    def total(order):
        return np.square(guesses[list(order)] - originals).mean(axis=(1, 2, 3)).sum()

    assert total(assign(guesses, originals)) == pytest.approx(min(map(total, permutations(range(4)))))


def test_the_batch_is_matched_as_a_whole_and_not_picture_by_picture():
    originals = np.array([0.0, 0.4]).reshape(2, 1, 1, 1)
    guesses = np.array([0.9, 0.35]).reshape(2, 1, 1, 1)  # 0.35 is the nearest guess to either original
    assert assign(guesses, originals).tolist() == [1, 0]


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match="must be images of one shape"):
        assign(np.zeros((2, 3, 6, 5)), np.zeros((2, 3, 5, 6)))
