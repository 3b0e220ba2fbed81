"""Leaks that are above a limit of theirs: a bound that was beaten is a finding, about the bound or the attack."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from invbench.numbers.columns import Column
from invbench.numbers.sheet import Bound, GameSheet
from invbench.numbers.statistics import Values, mean, target_means
from invbench.store import Record, Scores


def above_limits(sheet: GameSheet, record: Record) -> tuple[str, ...]:
    """A sentence for each of the game's bounds that the cell's leak is above by more than its slack."""
    said = [_above(sheet, bound, record.scores, record.controls) for bound in sheet.said.bounds]
    return tuple(words for words in said if words)


def _above(sheet: GameSheet, bound: Bound, scores: Scores, controls: Mapping[str, Scores]) -> str:
    if bound.leak not in scores or bound.limit not in scores or bound.leak not in sheet.by_name:
        return ""
    limits = scores[bound.limit]
    both = _paired(scores[bound.leak], limits, bound.decibels)
    column = sheet.column(bound.leak)
    if both is None or column.gain(both[0] - both[1]) <= bound.slack:
        return ""
    unit = f" {column.unit}" if column.unit else ""
    words = f"{column.written} is above {bound.limit}, {column.show(both[0])} against {column.show(both[1])}{unit}"
    words += " of the mean squared errors" if bound.decibels else ""
    beating = [name for name, of in controls.items() if _is_above(column, of.get(bound.leak), limits, bound.decibels)]
    if beating:
        return f"{words}; so is the control {beating[0]}, which reads nothing: these items are easier than it assumes"
    return f"{words}: the limit does not hold for this attack"


def _is_above(column: Column, leak: Values | None, limit: Values, decibels: bool) -> bool:
    both = None if leak is None else _paired(leak, limit, decibels)
    return both is not None and column.gain(both[0] - both[1]) > 0


def _paired(leak: Values, limit: Values, decibels: bool) -> tuple[float, float] | None:
    """Means over the targets that have both values: of the leak and of the limit."""
    pairs = list(zip(_targets(leak, decibels), _targets(limit, decibels), strict=True))
    there = [(a, b) for a, b in pairs if a is not None and b is not None]
    first, second = mean([a for a, _ in there]), mean([b for _, b in there])
    if first is None or second is None:
        return None
    return (-10 * math.log10(first), -10 * math.log10(second)) if decibels else (first, second)


def _targets(values: Values, decibels: bool) -> Sequence[float | None]:
    return target_means([[_error(v) for v in target] for target in values] if decibels else values)


def _error(value: float | None) -> float | None:
    """The squared error of so many decibels, at most what a float holds."""
    return None if value is None else 10 ** (-max(value, -3000.0) / 10)
