"""scikit-image's small faces."""

from __future__ import annotations

import numpy as np
import pytest

from invbench.data.lfw import Lfw


def test_there_are_100_faces_then_100_non_faces() -> None:
    pool = Lfw().load()
    assert pool.images.shape == (200, 1, 25, 25)
    assert pool.images.dtype == np.float32
    assert pool.images.min() >= 0
    assert pool.images.max() <= 1
    assert pool.labels.tolist() == [1] * 100 + [0] * 100
    assert pool.classes == 2
    assert "no identities" in pool.notes[0]


def test_faces_are_attacked_first_and_a_trained_victim_has_seen_none_of_its_targets() -> None:
    pool = Lfw().load()
    assert pool.labels[pool.targets].tolist() == [1] * 100 + [0] * 100
    assert pool.labels[pool.trained_targets].tolist() == [1] * 50 + [0] * 50
    assert pool.trained_targets[:50].tolist() == pool.targets[:50].tolist()
    assert sorted([*pool.train, *pool.trained_targets]) == list(range(200))


def test_faces_look_more_like_each_other_than_like_the_rest() -> None:
    images = Lfw().load().unit(np.arange(200)).reshape(200, -1)
    mean_face = images[:100].mean(0)
    away = np.square(images - mean_face).mean(1)
    assert np.median(away[:100]) < np.median(away[100:])


def test_normalisation_is_the_training_pictures_own() -> None:
    pool = Lfw().load()
    assert pool.mean == pytest.approx([pool.unit(pool.train).mean()], abs=1e-5)
    assert pool.std == pytest.approx([pool.unit(pool.train).std()], abs=1e-5)
