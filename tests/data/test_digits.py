"""scikit-learn's digits."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits  # type: ignore[import-untyped]

from invbench.cell import Choice
from invbench.data.digits import Digits


def test_pictures_and_labels_are_scikit_learns_own_in_order() -> None:
    pool, official = Digits().load(), load_digits()
    assert pool.images.shape == (1797, 1, 8, 8)
    assert np.array_equal(pool.unit(pool.targets)[:, 0] * 16, official.images)
    assert pool.labels[pool.targets].tolist() == official.target.tolist()


def test_the_first_540_are_held_out_of_training_with_some_of_every_digit() -> None:
    pool = Digits().load()
    assert pool.trained_targets.tolist() == list(range(540))
    assert pool.train.tolist() == list(range(540, 1797))
    assert np.bincount(pool.labels[pool.trained_targets]).min() > 50


def test_parity_gives_two_classes_and_leaves_what_was_there_as_it_was() -> None:
    plain, parity = Digits().load(), Digits(labels="parity").load()
    assert parity.classes == 2
    assert parity.labels.tolist() == (plain.labels % 2).tolist()
    assert np.array_equal(parity.images, plain.images)
    assert Choice("dataset", "digits", (("labels", "digit"),)).key == {"name": "digits"}
    assert plain.content != parity.content
