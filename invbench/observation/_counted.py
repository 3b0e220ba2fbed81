"""Frequencies counted over the rows that trained a model: of one attribute, and given what is known of a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from invbench.observation._base import Plain


@dataclass(frozen=True, eq=False)
class CountedPrior:
    """What is published of the people that trained a model: how many have each combination of categories.

    `categories[name]`: the values of a category, in a fixed order. `counts`: combinations, in the order of
    `categories`, to how many rows have them. `levels[name]`: the other categories in the order in which they are
    conditioned on, each with its smoothing (people). `numbers[name]`: equally likely values of an attribute that is a
    number.
    """

    categories: Mapping[str, tuple[str, ...]]
    counts: Mapping[tuple[str, ...], int]
    levels: Mapping[str, tuple[tuple[str, float], ...]]
    numbers: Mapping[str, tuple[float, ...]]
    _found: dict[tuple[Plain, ...], dict[Plain, float]] = field(default_factory=dict, repr=False)  # asked before

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes whose frequencies are known."""
        return (*self.categories, *self.numbers)

    def marginal(self, name: str) -> dict[Plain, float]:
        """Probabilities of an attribute's values over everybody; one person more, shared evenly, so that none is 0."""
        return self.given(name, {})

    def given(self, name: str, known: Mapping[str, Plain]) -> dict[Plain, float]:
        """Probabilities of an attribute's values given the categories that are known.

        P_k(v) = (n_k(v) + s_k P_{k-1}(v)) / (n_k + s_k), level by level: n_k counts the rows that agree in the first k
        known categories, s_k smooths. So a group in which nobody is falls back to the group around it, and in the end
        to the marginal. Numbers are taken to be independent of the rest.
        """
        if name in self.numbers:
            return {value: 1 / len(self.numbers[name]) for value in self.numbers[name]}
        levels = [(other, smoothing) for other, smoothing in self.levels[name] if other in known]
        key = (name, *(known.get(other) for other, _ in self.levels[name]))  # no category is None
        if key not in self._found:
            self._found[key] = self._counted(name, [(other, known[other], s) for other, s in levels])
        return self._found[key]

    def _counted(self, name: str, levels: list[tuple[str, Plain, float]]) -> dict[Plain, float]:
        place = {other: k for k, other in enumerate(self.categories)}
        rows = list(self.counts.items())
        values = self.categories[name]
        found = _smoothed(rows, place[name], dict.fromkeys(values, 1 / len(values)), 1.0)
        for other, value, smoothing in levels:
            rows = [row for row in rows if row[0][place[other]] == value]
            found = _smoothed(rows, place[name], found, smoothing)
        return found


def _smoothed(
    rows: list[tuple[tuple[str, ...], int]], place: int, around: Mapping[Plain, float], smoothing: float
) -> dict[Plain, float]:
    counts = dict.fromkeys(around, 0)
    for values, count in rows:
        counts[values[place]] += count
    total = sum(counts.values()) + smoothing
    return {value: (counts[value] + smoothing * around[value]) / total for value in around}
