"""Game `attribute` on a table: which rows train the model, what is counted over them, and the classifier beside it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from invbench.core.randomness import numpy_stream
from invbench.data._table import Table
from invbench.models import Rows
from invbench.models._tables import features_of, matrix_of
from invbench.observation import CountedPrior

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TRAINING_SHARE = 0.75
SMOOTHINGS = (1.0, 10.0, 100.0, 1000.0, 10000.0)
"""People that a group's own counts are smoothed with; the training rows choose, by leaving one out."""
PARTS = 10
"""Values that an unknown number may take: the middles of as many equal parts of the training rows."""


def training_count(people: int) -> int:
    return int(TRAINING_SHARE * people)


def split(people: int, seed: int) -> tuple[list[int], list[int]]:
    """The rows that train, and those held out, of a table of so many people: the same whatever is sensitive."""
    drawn = numpy_stream(seed, "attribute", "split", people).random(people)
    order: list[int] = np.argsort(drawn, kind="stable").tolist()
    count = training_count(people)
    return order[:count], order[count:]


def counted(table: Table, training: Sequence[int]) -> CountedPrior:
    """Frequencies over the training rows of everything but the target."""
    rows = [table.people[row] for row in training]
    categories = {name: values for name, values in table.categories.items() if name != table.target}
    numbers = [name for name in table.background if name not in categories]
    codes = {name: _codes(values, [row[name] for row in rows]) for name, values in categories.items()}
    return CountedPrior(
        categories=categories,
        counts=Counter(tuple(row[name] for name in categories) for row in rows),
        levels={name: _levels(name, codes) for name in categories},
        numbers={name: _middles([row[name] for row in rows if row[name] is not None]) for name in numbers},
    )


def imputed(
    table: Table, training: Sequence[int], known: Sequence[str], people: Sequence[int]
) -> list[dict[str, float]]:
    """What a classifier says of people's sensitive attribute without the model (Jayaraman and Evans 2022, 2209.01292).

    Multinomial logistic regression on the training rows' known attributes; numbers in standard deviations.
    """
    rows = Rows([table.people[row] for row in training], table.sensitive, tuple(known), table.categories)
    truth = [person[table.sensitive] for person in rows.people]
    features = features_of(rows)
    x, asked = (matrix_of(features, of) for of in (rows.people, [table.people[row] for row in people]))
    if len(set(truth)) == 1 or not features:
        shares = {value: truth.count(value) / len(truth) for value in table.values}
        return [shares] * len(people)
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    spread = x.std(axis=0)
    spread[spread == 0] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = LogisticRegression(max_iter=1000).fit((x - x.mean(axis=0)) / spread, truth)
    found = fitted.predict_proba((asked - x.mean(axis=0)) / spread)
    absent = dict.fromkeys(table.values, 0.0)
    return [absent | dict(zip(fitted.classes_.tolist(), row, strict=True)) for row in found.tolist()]


def unseen(table: Table, training: Sequence[int], people: Sequence[int]) -> list[str]:
    """Notes of categories that people attacked have and no training row has."""
    notes = []
    for name in (*table.background, table.sensitive):
        if name in table.categories:
            new = {table.people[row][name] for row in people} - {table.people[row][name] for row in training}
            if new:
                notes.append(f"{name}: no training row has {', '.join(v for v in table.categories[name] if v in new)}")
    return notes


def _levels(name: str, codes: Mapping[str, Ints]) -> tuple[tuple[str, float], ...]:
    """The other categories, what tells most of this one first, each with the smoothing that predicts a row left out.

    `codes`: of each category, the number of each row's value.
    """
    own = codes[name]
    order = sorted((other for other in codes if other != name), key=lambda other: -_information(own, codes[other]))
    rows, one_hot = np.arange(len(own)), np.eye(own.max() + 1)
    left = one_hot[own].sum(axis=0) - one_hot[own]
    around = (left + 1 / len(one_hot)) / (left.sum(axis=1, keepdims=True) + 1)  # the marginal, each row left out
    found: list[tuple[str, float]] = []
    group = np.zeros(len(own), dtype=np.int64)
    for other in order:
        group = np.unique(group * (codes[other].max() + 1) + codes[other], return_inverse=True)[1]
        left = _table_of(group, own)[group] - one_hot[own]
        smoothed = [(left + s * around) / (left.sum(axis=1, keepdims=True) + s) for s in SMOOTHINGS]
        best = int(np.argmax([np.log(shares[rows, own]).sum() for shares in smoothed]))
        around = smoothed[best]
        found.append((other, SMOOTHINGS[best]))
    return tuple(found)


def _information(one: Ints, other: Ints) -> float:
    """Mutual information of two categories over the rows, nats."""
    joint = _table_of(one, other) / len(one)
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / apart[there])).sum())


def _table_of(one: Ints, other: Ints) -> Floats:
    """How many rows have each pair of values."""
    counts = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(counts, (one, other), 1)
    return counts


def _codes(values: Sequence[str], column: Sequence[str]) -> Ints:
    place = {value: k for k, value in enumerate(values)}
    return np.array([place[value] for value in column], dtype=np.int64)


def _middles(values: list[float]) -> tuple[float, ...]:
    """The middles of `PARTS` equal parts of these values; of none, a single 0."""
    if not values:
        return (0.0,)
    levels: Floats = np.quantile(values, (np.arange(PARTS) + 0.5) / PARTS)
    return tuple(levels.tolist())
