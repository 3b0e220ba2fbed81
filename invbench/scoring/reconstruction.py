"""How a guess at a batch of pictures is scored. A batch has no order: one assignment serves every metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from invbench.data import ImagePool
from invbench.metrics import assign
from invbench.observation import Guess
from invbench.scoring.computing import computed

Scores = dict[str, list[list[float | None]]]
"""Metric to target to picture of the batch; None is an empty value."""
Array = npt.NDArray[Any]

CANDIDATES = 100


@dataclass(frozen=True, eq=False)
class Truth:
    """One batch as it was: unit-range pictures `(B, C, H, W)`, labels `(B,)`.

    `positions` `(B,)`: their places in the target pool. `indexes` `(B,)`: their places among all of the data set.
    """

    images: Array
    labels: Array
    positions: Array
    indexes: Array

    def first(self, count: int) -> Truth:
        """The first pictures of the batch."""
        return Truth(self.images[:count], self.labels[:count], self.positions[:count], self.indexes[:count])


@dataclass(frozen=True, eq=False)
class Matched:
    """A guess in the batch's order: pictures `(B, C, H, W)`, labels (-1: none), which were `returned`."""

    images: Array
    labels: Array
    returned: Array


@dataclass(frozen=True, eq=False)
class Candidates:
    """Numbers of pictures among which each of a batch is looked for, `(B, K)`, its own first; `unit` gives them."""

    places: Array
    unit: Callable[[Sequence[int]], Array]


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


def score(
    game: str, matched: Matched, truth: Truth, pool: ImagePool, targets: Array, *, hidden: bool = False
) -> dict[str, list[float | None]]:
    """Every metric of a game of pictures, one value a picture of the batch.

    Metrics get `pictures` and `originals`, floats `(B, C, H, W)` in [0, 1] in one order; `labels` (-1: none) and
    `true_labels` `(B,)`; `read_labels`: `labels` where they are `hidden` and so the attack's own, else none; `returned`
    `(B,)`: which pictures the attack gave; `candidates`.
    """
    given = {"labels": matched.labels, "true_labels": truth.labels, "returned": matched.returned}
    given["read_labels"] = matched.labels if hidden else np.full(len(truth.labels), -1)
    return computed(game, _pictures(matched.images, truth, pool, targets) | given)


def score_picture(
    game: str, images: Array, truth: Truth, pool: ImagePool, targets: Array, labels: Array | None = None
) -> dict[str, list[float | None]]:
    """The metrics that need pictures alone, for a control's pictures `(B, C, H, W)` in the batch's order.

    `labels` `(B,)`, in whatever order: what the control says of them.
    """
    told = {} if labels is None else {"read_labels": labels, "true_labels": truth.labels}
    return computed(game, _pictures(images, truth, pool, targets) | told)


def by_metric(targets: Sequence[dict[str, list[float | None]]]) -> Scores:
    """Per-target scores gathered by metric; a metric that is empty everywhere stays, as empty values."""
    return {name: [target[name] for target in targets] for name in targets[0]} if targets else {}


def priors(truth: Truth, pool: ImagePool, targets: Array, *, labelled: bool, ruled_out: Array) -> tuple[float, ...]:
    """Of each picture how likely `identified` finds it for an attacker who sees no update, at most.

    His guesses, one a picture of the batch, are matched to the pictures by the truth, so that each picture is found
    where any of them lies nearest to it. Candidates are equally likely: those of its label where labels are known
    (`labelled`), without those that he knows not to be attacked (`ruled_out`, indexes of pictures).
    """
    found = []
    for places, label in zip(_places(truth.positions, targets), truth.labels, strict=True):
        there = ~np.isin(places, ruled_out) & ((pool.labels[places] == label) | (not labelled))
        found.append(min(1.0, len(truth.images) / int(there.sum())))
    return tuple(found)


def _pictures(images: Array, truth: Truth, pool: ImagePool, targets: Array) -> dict[str, object]:
    return {
        "pictures": images,
        "originals": truth.images,
        "candidates": Candidates(_places(truth.positions, targets), pool.unit),
    }


def _places(positions: Array, targets: Array) -> Array:
    """For each picture itself and the next targets, cyclically, 100 in all or as many as there are, `(B, 100)`."""
    steps = np.arange(min(CANDIDATES, len(targets)))
    return np.asarray(targets)[(positions[:, None] + steps) % len(targets)]


def _take(images: Array, chosen: Array, shape: tuple[int, ...]) -> Array:
    return images[np.maximum(chosen, 0)] if len(images) else np.zeros(shape)
