"""Metrics of inverted classes: against hand-made pictures."""

from __future__ import annotations

import numpy as np
import pytest

from invbench.metrics import (
    class_found,
    class_found_by_classifier,
    confidence,
    psnr,
    psnr_to_mean,
    psnr_to_nearest,
    ssim,
    ssim_to_mean,
    ssim_to_nearest,
    weight_error,
)

MEANS = np.random.default_rng(0).random((3, 1, 4, 4))
ASKED = np.array([0, 1, 2])


def test_a_class_is_found_where_its_mean_is_the_nearest_whatever_brightness_and_contrast() -> None:
    faint = 0.45 + 0.1 * MEANS
    assert class_found(faint, ASKED, MEANS).tolist() == [1, 1, 1]
    assert class_found(faint, np.array([1, 1, 0]), MEANS).tolist() == [0, 1, 0]


def test_a_flat_picture_finds_nothing_and_a_negative_is_not_found() -> None:
    assert class_found(np.full((3, 1, 4, 4), 0.4), ASKED, MEANS).tolist() == [0, 0, 0]
    assert class_found(1 - MEANS, ASKED, MEANS).tolist() == [0, 0, 0]


def test_a_class_without_training_pictures_takes_nothing_away() -> None:
    means = np.concatenate([MEANS, np.full((1, 1, 4, 4), np.nan)])
    assert class_found(MEANS, ASKED, means).tolist() == [1, 1, 1]


def test_a_twin_of_the_class_takes_nothing_away() -> None:
    assert class_found(MEANS, ASKED, MEANS[[0, 1, 1]]).tolist() == [1, 1, 0]


def test_confidence_is_the_victim_s_and_the_name_the_classifier_s() -> None:
    told = np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])
    assert confidence(told, np.array([1, 1, 1])) == pytest.approx([0.8, 0.5, 0.1])
    assert class_found_by_classifier(told, np.array([1, 1, 1])).tolist() == [1, 0, 0]


def test_likeness_is_psnr_and_ssim_to_what_is_named() -> None:
    a, b = np.random.default_rng(1).random((2, 2, 1, 12, 12))
    for measured in (psnr_to_mean(a, b), psnr_to_nearest(a, b)):
        assert measured.tolist() == psnr(a, b).tolist()
    for likeness in (ssim_to_mean(a, b), ssim_to_nearest(a, b)):
        assert likeness.tolist() == ssim(a, b).tolist()


def test_stolen_weights_are_judged_up_to_what_softmax_does_not_see() -> None:
    own = {"w": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.array([0.5, 1.5])}
    shifted = {"w": own["w"] + np.array([7.0, -2.0]), "b": own["b"] - 3}
    wrong = {"w": own["w"] + np.array([[0.2, 0.0], [0.0, 0.0]]), "b": own["b"]}
    errors = weight_error([shifted, wrong, None, {"w": own["w"]}], own)
    assert errors[:2] == pytest.approx([0, 0.1])
    assert np.isnan(errors[2:]).all()
