"""The picture of a membership cell."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image
from sklearn.metrics import roc_curve  # type: ignore[import-untyped]

from invbench.scoring.blind import pixels_alone
from invbench.scoring.exposure import exposure_png, roc


def test_the_curve_is_scikit_learn_s_with_ties() -> None:
    drawn = np.random.default_rng(0)
    score, member = drawn.integers(0, 20, 200).astype(float), drawn.integers(0, 2, 200).astype(float)
    false, true = roc(score, member)
    theirs = roc_curve(member, score, drop_intermediate=False)
    np.testing.assert_allclose(false, theirs[0])
    np.testing.assert_allclose(true, theirs[1])


def test_it_shows_the_attack_the_unseen_victim_and_who_is_a_member() -> None:
    drawn = np.random.default_rng(0)
    member = [(np.arange(60) % 2).astype(float).tolist()] * 2
    scores = {"score": [(np.array(own) + drawn.normal(0, 1, 60)).tolist() for own in member], "member": member}
    unseen = {"score": drawn.normal(0, 1, (2, 60)).tolist(), "member": member}
    pictures = drawn.random((60, 3, 8, 8)).astype(np.float32)
    with_control, without = (exposure_png(scores, one, pictures, "lira on a net") for one in (unseen, None))
    assert with_control != without
    red = np.array(Image.open(BytesIO(with_control))) == (192, 57, 43)
    assert red.all(axis=2).sum() > 300
    flat = exposure_png({"score": [[0.0] * 60] * 2, "member": member}, None, pictures, "")
    assert Image.open(BytesIO(flat)).format == "PNG"


def test_pixels_tell_what_is_of_another_kind_and_nothing_of_what_is_drawn_alike() -> None:
    drawn = np.random.default_rng(0)
    alike, reference = drawn.random((80, 1, 4, 4)), drawn.random((80, 1, 4, 4))
    brighter = alike.copy()
    brighter[:40] += 1
    logits = pixels_alone(brighter, reference)
    assert logits[:40].min() > logits[40:].max()
    assert np.array_equal(pixels_alone(alike, reference), pixels_alone(alike, reference))
