"""What models trained on tables share: columns as features, and how far their answers are from the truth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from invbench.models import Rows

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Feature:
    """A number, or whether a category has this `value`. `mean`: of the training rows; a missing number counts as it."""

    name: str
    value: str | None
    mean: float = 0.0

    def of(self, attributes: Mapping[str, Any]) -> float:
        held = attributes[self.name]
        if self.value is None:
            return self.mean if held is None else float(held)
        return float(held == self.value)


def features_of(rows: Rows) -> tuple[Feature, ...]:
    """A feature for each number, one for each value of a category that a training row has."""
    found: list[Feature] = []
    for name in rows.features:
        if name in rows.categories:
            seen = {person[name] for person in rows.people}
            found += [Feature(name, value) for value in rows.categories[name] if value in seen]
        else:
            there = [person[name] for person in rows.people if person[name] is not None]
            found.append(Feature(name, None, math.fsum(there) / len(there) if there else 0.0))
    return tuple(found)


def matrix_of(features: Sequence[Feature], people: Sequence[Mapping[str, Any]]) -> Floats:
    """The features of people, `(n, d)`."""
    return np.array([[feature.of(person) for feature in features] for person in people], dtype=np.float64)


@dataclass(frozen=True)
class Gaussian:
    """The error of a regression: normal, of the root mean square error on the training rows."""

    rmse: float

    def log(self, output: Any, predicted: Any) -> float:
        if self.rmse == 0:
            return 0.0 if output == predicted else -math.inf
        return float(-0.5 * ((output - predicted) / self.rmse) ** 2 - math.log(self.rmse * math.sqrt(2 * math.pi)))

    def off(self, output: Any, predicted: Any) -> float:
        return float(abs(output - predicted))


@dataclass(frozen=True)
class Confusion:
    """The error of a classifier: how often each label is true where it predicts one, counted on the training rows.

    One row more, shared evenly among the labels, so that no label is impossible.
    """

    logs: Mapping[str, Mapping[str, float]]

    @staticmethod
    def counted(labels: Sequence[str], true: Sequence[str], predicted: Sequence[str]) -> Confusion:
        counts, shown = Counter(zip(predicted, true, strict=True)), Counter(predicted)
        share = 1 / len(labels)
        return Confusion(
            {
                said: {one: math.log((counts[said, one] + share) / (shown[said] + 1)) for one in labels}
                for said in labels
            }
        )

    def log(self, output: Any, predicted: Any) -> float:
        return self.logs[predicted][output]

    def off(self, output: Any, predicted: Any) -> float:
        return float(output != predicted)
