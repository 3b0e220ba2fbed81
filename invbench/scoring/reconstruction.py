"""How a guess at a batch of pictures is scored. A batch has no order: one assignment serves every metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from invbench.data import ImagePool
from invbench.metrics import assign, best_grey, identified, lpips, lpips_distances, lpips_features, psnr, ssim
from invbench.observation import Guess

Scores = dict[str, list[list[float | None]]]
"""Metric to target to picture of the batch; None is an empty value."""
Array = npt.NDArray[Any]

CANDIDATES = 100
EXACT = 80.0  # dB


@dataclass(frozen=True, eq=False)
class Truth:
    """One batch as it was: unit-range pictures `(B, C, H, W)`, labels `(B,)`, their places in the target pool."""

    images: Array
    labels: Array
    positions: Array


@dataclass(frozen=True, eq=False)
class Matched:
    """A guess in the batch's order: pictures `(B, C, H, W)`, labels (-1: none), which were `returned`."""

    images: Array
    labels: Array
    returned: Array


def match(guess: Guess, truth: Truth, missing: Array) -> Matched:
    """The guess's pictures by the assignment of least squared error; a missing one is `missing` `(C, H, W)`."""
    images = guess.images.detach().cpu().double().clamp(0, 1).nan_to_num().numpy()
    chosen = assign(images, truth.images)
    returned = chosen >= 0
    pictures = np.where(returned[:, None, None, None], _take(images, chosen, truth.images.shape), missing)
    labels = np.full(len(chosen), -1)
    if guess.labels is not None:
        labels[returned] = guess.labels.detach().cpu().numpy()[chosen[returned]]
    return Matched(pictures, labels, returned)


def score(matched: Matched, truth: Truth, pool: ImagePool, targets: Array) -> dict[str, list[float | None]]:
    """Every metric of game `update`, one value a picture."""
    decibels = psnr(matched.images, truth.images)
    guessed = (matched.labels >= 0).any()  # then a label that is missing with its picture is a wrong one
    right = (matched.labels == truth.labels).astype(float) if guessed else np.full(len(truth.labels), np.nan)
    values = {
        **_similarities(matched.images, truth, pool, targets),
        "label_accuracy": right,
        "recovered": matched.returned.astype(float),
        "exact": (matched.returned & (decibels > EXACT)).astype(float),
    }
    return {name: _optional(column) for name, column in values.items()}


def score_picture(images: Array, truth: Truth, pool: ImagePool, targets: Array) -> dict[str, list[float | None]]:
    """The metrics that compare pictures, for a control's pictures `(B, C, H, W)` in the batch's order."""
    return {name: _optional(column) for name, column in _similarities(images, truth, pool, targets).items()}


def grey_control(truth: Truth) -> Array:
    """The best single grey level of every picture, `(B, C, H, W)`."""
    return best_grey(truth.images)


@lru_cache(maxsize=8)
def mean_image(pool: ImagePool) -> Array:
    """The data set's mean picture `(C, H, W)`, unit range, float64."""
    total = np.zeros(pool.images.shape[1:], dtype=np.float64)
    for begin in range(0, len(pool.images), 1024):
        total += pool.unit(np.arange(begin, min(begin + 1024, len(pool.images)))).sum(axis=0, dtype=np.float64)
    average: Array = total / len(pool.images)
    return average


def by_metric(targets: Sequence[dict[str, list[float | None]]]) -> Scores:
    """Per-target scores gathered by metric; a metric that is empty everywhere stays, as empty values."""
    return {name: [target[name] for target in targets] for name in targets[0]} if targets else {}


def _similarities(images: Array, truth: Truth, pool: ImagePool, targets: Array) -> dict[str, Array]:
    return {
        "psnr": psnr(images, truth.images),
        "ssim": ssim(images, truth.images),
        "lpips": lpips(images, truth.images) if images.shape[1] in (1, 3) else np.full(len(images), np.nan),
        "identified": _identified(images, truth, pool, targets),
    }


def _identified(images: Array, truth: Truth, pool: ImagePool, targets: Array) -> Array:
    """Whether the nearest of 100 candidates by LPIPS is the original: it and the 99 next targets, cyclically."""
    if images.shape[1] not in (1, 3):
        return np.full(len(images), np.nan)
    count = min(CANDIDATES, len(targets))
    found = []
    for features, position in zip(lpips_features(images), truth.positions, strict=True):
        places = [int(targets[(position + step) % len(targets)]) for step in range(count)]
        candidates = np.stack([_features(pool, place) for place in places])
        found.append(identified(lpips_distances(features[None], candidates), np.array([0]))[0])
    return np.array(found, dtype=float)


@lru_cache(maxsize=128)  # the candidates of one picture and a few more: 2 MB each at 224 x 224
def _features(pool: ImagePool, index: int) -> Array:
    features: Array = lpips_features(pool.unit([index]))[0]
    return features


def _take(images: Array, chosen: Array, shape: tuple[int, ...]) -> Array:
    return images[np.maximum(chosen, 0)] if len(images) else np.zeros(shape)


def _optional(values: Array) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in values]
