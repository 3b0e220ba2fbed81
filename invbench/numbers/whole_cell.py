"""Statistics of a whole cell, such as an AUC: one number of many stored items instead of a mean over targets.

Each is computed again under the bootstrap's weights (`bootstrap.py`), which say how often an item, or every item of
a target, was drawn. Two cells are compared under the same weights, so their items are paired.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from invbench.numbers.bootstrap import drawn_weights, percentiles

Array = npt.NDArray[np.float64]
Scores = Mapping[str, Sequence[Sequence[float | None]]]
"""`metric -> target -> item`; None is an empty one."""


@dataclass(frozen=True, kw_only=True)
class Statistic(ABC):
    """A number of all items of a cell. `inputs`: names of scores, whose values in equal places are one item.

    `resampled`: what is drawn with replacement for the interval: `items` (many candidates of one trained model) or
    whole `targets` (rounds, whose items share an update and are not independent). `least`, `most`: what it can be.
    """

    inputs: tuple[str, ...]
    resampled: Literal["items", "targets"] = "items"
    least: float | None = None
    most: float | None = None

    @abstractmethod
    def values(self, inputs: Sequence[Array], weights: Array) -> Array:
        """The statistic under each column of `weights` `(N, draws)`: `(draws,)`, NaN where it is undefined.

        `inputs`: an array `(N,)` each. A weight says how often its item counts.
        """

    def why_empty(self, inputs: Sequence[Array]) -> str | None:
        """Why these items have no value, or None where they have one."""
        return None

    def units(self, inputs: Sequence[Array]) -> int:
        """How many of these items count as evidence: all, unless some kind of them is rarer."""
        return len(inputs[0])


class Estimate(NamedTuple):
    """A statistic of a cell and the ends of its 95 % bootstrap interval, or (`value` None) why it is empty.

    `units`: how many of its items, or targets where these are drawn, count. `left_out`: how many items lack a finite
    input, of all `items`.
    """

    value: float | None
    ci_low: float = 0.0
    ci_high: float = 0.0
    why_empty: str | None = None
    units: int = 0
    left_out: int = 0
    items: int = 0


class Paired(NamedTuple):
    """A statistic on the items that both cells have, and the 95 % interval of `after - before` over paired draws.

    `lost`: how many items had a value before and have none after. `items`: how many had one before. `units`: how many
    of those that both have, or of their targets where these are drawn, count.
    """

    before: float
    after: float
    interval: tuple[float, float]
    lost: int
    items: int
    units: int


def has_inputs(statistic: Statistic, scores: Scores) -> bool:
    """Whether everything that the statistic is made of is stored."""
    return all(name in scores for name in statistic.inputs)


def value(statistic: Statistic, scores: Scores) -> Estimate:
    """The statistic of stored scores without an interval: both its ends are the value."""
    inputs = _present(statistic, scores)
    whole = inputs if isinstance(inputs, str) else _whole(statistic, inputs)
    return Estimate(None, why_empty=whole) if isinstance(whole, str) else Estimate(whole, whole, whole)


def estimate(statistic: Statistic, scores: Scores) -> Estimate:
    """The statistic of stored scores with its interval; `why_empty` where there is no value."""
    found = value(statistic, scores)
    if found.value is None:
        return found
    (inputs, there), targets = _laid_out(statistic, scores), _targets(statistic, scores)
    present = [array[there] for array in inputs]
    (draws,) = _drawn(statistic, [present], targets[there])
    low, high = _interval(statistic, draws, found.value)
    units = _units(statistic, present, targets[there])
    return Estimate(found.value, low, high, None, units, int((~there).sum()), len(there))


def paired(statistic: Statistic, before: Scores, after: Scores) -> Paired | str:
    """The statistic of two cells with the same items under the same draws, or why they cannot be compared."""
    if _shape(statistic, before) != _shape(statistic, after):
        return f"other numbers of {' and '.join(statistic.inputs)} than before: they cannot be paired"
    (old, was_there), (new, is_there) = _laid_out(statistic, before), _laid_out(statistic, after)
    both = was_there & is_there
    sides = [array[both] for array in old], [array[both] for array in new]
    wholes = [_whole(statistic, side) for side in sides]
    first, second = wholes
    if isinstance(first, str) or isinstance(second, str):
        return next(whole for whole in wholes if isinstance(whole, str))
    targets = _targets(statistic, before)[both]
    draws = _drawn(statistic, sides, targets)
    interval = percentiles(draws[1] - draws[0], second - first, centred=statistic.resampled == "targets")
    units = min(_units(statistic, side, targets) for side in sides)
    return Paired(first, second, interval, int((was_there & ~is_there).sum()), int(was_there.sum()), units)


def _interval(statistic: Statistic, draws: Array, whole: float) -> tuple[float, float]:
    """What was drawn, about the value, and no end beyond what the statistic can be.

    A target that is drawn twice is compared with itself where it would be with another, so that what ranks the items
    of all targets together comes out better than it is: with two rounds, by half of the difference.
    """
    low, high = percentiles(draws, whole, centred=statistic.resampled == "targets")
    least = -math.inf if statistic.least is None else statistic.least
    most = math.inf if statistic.most is None else statistic.most
    return min(max(low, least), whole), max(min(high, most), whole)


def _units(statistic: Statistic, inputs: Sequence[Array], targets: npt.NDArray[np.int64]) -> int:
    """How many items count, and no more than there are targets where whole targets are drawn."""
    units = statistic.units(inputs)
    return units if statistic.resampled == "items" else min(units, len(np.unique(targets)))


def _present(statistic: Statistic, scores: Scores) -> list[Array] | str:
    """The inputs of the items that have a value in each, or why they do not fit together."""
    if any(shape != _shape(statistic, scores)[0] for shape in _shape(statistic, scores)):
        return f"{' and '.join(statistic.inputs)} hold different numbers of items"
    arrays, there = _laid_out(statistic, scores)
    return [array[there] for array in arrays]


def _whole(statistic: Statistic, inputs: Sequence[Array]) -> float | str:
    """The statistic with every item once, or why it has no value."""
    if not len(inputs[0]):
        return "no item has a value"
    why = statistic.why_empty(inputs)
    if why is not None:
        return why
    found = float(statistic.values(inputs, np.ones((len(inputs[0]), 1)))[0])
    return found if math.isfinite(found) else "it is undefined for these items"


def _drawn(statistic: Statistic, sides: Sequence[Sequence[Array]], targets: npt.NDArray[np.int64]) -> list[Array]:
    """For each side the statistic under every draw `(DRAWS,)`, all sides under the same draws."""
    whole_targets = statistic.resampled == "targets"
    present, target_of = np.unique(targets, return_inverse=True)
    draws: list[list[Array]] = [[] for _ in sides]
    for weights in drawn_weights(len(present) if whole_targets else len(targets)):
        of_items = weights[target_of] if whole_targets else weights
        for drawn, inputs in zip(draws, sides, strict=True):
            drawn.append(statistic.values(inputs, of_items))
    return [np.concatenate(drawn) for drawn in draws]


def _shape(statistic: Statistic, scores: Scores) -> list[list[int]]:
    """For each input how many items each target has."""
    return [[len(target) for target in scores[name]] for name in statistic.inputs]


def _laid_out(statistic: Statistic, scores: Scores) -> tuple[list[Array], npt.NDArray[np.bool_]]:
    """Each input with its targets end to end `(N,)`, NaN where empty, and which items have a value in all."""
    arrays = [np.array([*chain.from_iterable(scores[name])], dtype=np.float64) for name in statistic.inputs]
    return arrays, np.logical_and.reduce([np.isfinite(array) for array in arrays])


def _targets(statistic: Statistic, scores: Scores) -> npt.NDArray[np.int64]:
    """The number of each item's target, `(N,)`."""
    lengths = _shape(statistic, scores)[0]
    return np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)
