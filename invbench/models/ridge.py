"""Ridge regression of a table (Hoerl and Kennard 1970), and the classifier of least squares that is made of it.

Numbers are scaled to [-1, 1] by the least and the largest of the training rows, and so is a target; categories are
one-hot. A category that no training row has counts as the training rows' average one, and a missing number as their
mean. Every coefficient is penalised, the intercept too, so that the defences' sensitivities hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from invbench.core.regression import Regression
from invbench.models import Rows, TableLearner, TableModel, as_it_is
from invbench.models._tables import Confusion, Feature, Floats, Gaussian, features_of, matrix_of
from invbench.registry import model, parameter


@model(data="table")
@dataclass(frozen=True, kw_only=True)
class Ridge(TableLearner):
    """Least squares with a penalty: of a number, or of each label against the rest, the largest score deciding."""

    alpha: float = parameter(1.0, above=0, help="penalty on the squared coefficients, against a sum over rows")
    is_least_squares = True

    def fit(self, rows: Rows, defended: Callable[[Regression], Regression] = as_it_is) -> Linear:
        features = features_of(rows)
        scales = _scales(features, raw := matrix_of(features, rows.people))
        x = np.hstack([np.ones((len(raw), 1)), (raw - scales[0]) / scales[1]])
        labels = rows.categories.get(rows.target)
        truth = [person[rows.target] for person in rows.people]
        if labels is None:
            y = np.array(truth, dtype=np.float64)
            middle, half = (y.max() + y.min()) / 2, (y.max() - y.min()) / 2 or 1.0  # of one value: no scale
            w = self._solved(x, (y - middle) / half, rows, defended)[:, None] * half
            w[0] += middle
            rmse = float(np.sqrt(np.mean((x @ w[:, 0] - y) ** 2)))
            return Linear.made(features, scales, raw, w, None, Gaussian(rmse))
        signs = [np.array([1.0 if one == label else -1.0 for one in truth]) for label in labels]
        w = np.stack([self._solved(x, y, rows, as_it_is) for y in signs], axis=1)
        predicted = [labels[k] for k in (x @ w).argmax(axis=1)]
        return Linear.made(features, scales, raw, w, labels, Confusion.counted(labels, truth, predicted))

    def _solved(self, x: Floats, y: Floats, rows: Rows, defended: Callable[[Regression], Regression]) -> Floats:
        design, target = torch.from_numpy(x), torch.from_numpy(y)
        noise = torch.zeros(x.shape[1], dtype=torch.float64)
        reach = 1.0 + len(rows.features)  # the intercept, and of each attribute at most 1
        whole = Regression(design.T @ design, design.T @ target, self.alpha, len(x), reach, noise)
        found: Floats = defended(whole).coefficients.numpy()
        return found


@dataclass(frozen=True, eq=False)
class Linear(TableModel):
    """A trained one: scores are the intercept plus what each attribute adds, `(K,)`: of the number, or of each label.

    `slopes[name]`: per unit of a number, whose missing cells count as `means[name]`. `effects[name][value]`: of a
    category, `average[name]` of a value that training did not have.
    """

    intercept: Floats
    slopes: Mapping[str, Floats]
    means: Mapping[str, float]
    effects: Mapping[str, Mapping[str, Floats]]
    average: Mapping[str, Floats]
    labels: tuple[str, ...] | None
    errors: Gaussian | Confusion

    @staticmethod
    def made(
        features: tuple[Feature, ...],
        scales: tuple[Floats, Floats],
        raw: Floats,
        w: Floats,
        labels: tuple[str, ...] | None,
        errors: Gaussian | Confusion,
    ) -> Linear:
        """From coefficients `(1 + d, K)` of scaled features, and the training rows' own features `(n, d)`."""
        own = w[1:] / scales[1][:, None]
        effects: dict[str, dict[str, Floats]] = {}
        average: dict[str, Floats] = {}
        for k, feature in enumerate(features):
            if feature.value is not None:
                effects.setdefault(feature.name, {})[feature.value] = own[k]
                average[feature.name] = average.get(feature.name, 0.0) + raw[:, k].mean() * own[k]
        numbers = [(k, feature) for k, feature in enumerate(features) if feature.value is None]
        return Linear(
            intercept=w[0] - scales[0] @ own,
            slopes={feature.name: own[k] for k, feature in numbers},
            means={feature.name: feature.mean for _, feature in numbers},
            effects=effects,
            average=average,
            labels=labels,
            errors=errors,
        )

    def predict(self, attributes: Mapping[str, Any]) -> Any:
        """The number, or the label of the largest score."""
        scores = self.intercept.copy()
        for name, slope in self.slopes.items():
            held = attributes[name]
            scores += slope * (self.means[name] if held is None else held)
        for name, effects in self.effects.items():
            scores += effects.get(attributes[name], self.average[name])
        return float(scores[0]) if self.labels is None else self.labels[int(scores.argmax())]

    def log_likelihood(self, output: Any, attributes: Mapping[str, Any]) -> float:
        return self.errors.log(output, self.predict(attributes))

    def error(self, output: Any, attributes: Mapping[str, Any]) -> float:
        return self.errors.off(output, self.predict(attributes))


def _scales(features: tuple[Feature, ...], raw: Floats) -> tuple[Floats, Floats]:
    """Middle and half the range of each number, `(d,)` each; 0 and 1 of what is one-hot, or never varies."""
    is_number = np.array([feature.value is None for feature in features])
    low, high = raw.min(axis=0), raw.max(axis=0)
    half = np.where(is_number & (high > low), (high - low) / 2, 1.0)
    return np.where(is_number, (high + low) / 2, 0.0), half
