"""Means with their spread and their interval over targets (`intervals.py`).

What an interval counts is the target: the pictures of one batch share their update and are not independent.
Equal values always give equal intervals, whatever else is summarised in the same call.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from invbench.numbers.intervals import at_the_end, mean_intervals

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Values = Sequence[Sequence[float | None]]
"""`target -> item`; None and what is not finite is empty."""


class Summary(NamedTuple):
    """A metric over a cell: mean over items, their standard deviation, 95 % interval of the mean over targets.

    Of a statistic of the whole cell (`whole_cell.py`) `mean` is its value, and there is no standard deviation.
    `units`: how many targets have a value, or what counts of a statistic's items; one has no interval.
    """

    mean: float
    std: float | None
    ci_low: float | None
    ci_high: float | None
    units: int

    def within(self, least: float | None, most: float | None) -> Summary:
        """The interval without what the metric cannot be, wider where every target is at one end of the scale."""
        if self.ci_low is None or self.ci_high is None:
            return self
        low, high = self.ci_low, self.ci_high
        if least is not None and most is not None and low == high and low in (least, most):
            low, high = at_the_end(least, most, low, self.units)
        low, high = low if least is None else max(low, least), high if most is None else min(high, most)
        return self._replace(ci_low=low, ci_high=high)


def summarise(values: Values) -> Summary | None:
    """Summary of `values[target][item]`; empty items (None, not finite) are skipped, None if all are empty.

    `std` is over the items as they are (divisor N): the spread of these pictures, not an estimate for others.
    One target alone has no interval.
    """
    return summarise_many([values])[0]


def summarise_many(many: Iterable[Values]) -> list[Summary | None]:
    """`summarise` of each, bit for bit."""
    return summarise_packed(packed(many))


class Packed(NamedTuple):
    """The items of a series that are not empty (float64), and how many each target has that has any (int64).

    A fraction of the memory of the lists that it was made from; equal series have equal bytes.
    """

    counts: bytes
    items: bytes


def packed(many: Iterable[Values]) -> list[Packed]:
    """Each series without its empty items. Only the last line runs once a series in Python, and none once an item."""
    series = list(many)
    targets = list(chain.from_iterable(series))
    items = np.array(list(chain.from_iterable(targets)), dtype=np.float64)  # None becomes NaN
    present = np.isfinite(items)
    counts = _true_in_each(present, list(map(len, targets)))
    sizes = _true_in_each(counts > 0, list(map(len, series)))
    counts = counts[counts > 0]
    targets_before = np.append(0, np.cumsum(sizes))
    items_before = np.append(0, np.cumsum(counts))[targets_before]
    all_counts, all_items = counts.tobytes(), items[present].tobytes()
    places = zip(pairwise((8 * targets_before).tolist()), pairwise((8 * items_before).tolist()), strict=True)
    return [Packed(all_counts[start:stop], all_items[first:last]) for (start, stop), (first, last) in places]


def one_each(items: Sequence[float]) -> Packed:
    """A series of one finite item a target, packed."""
    return Packed(np.ones(len(items), dtype=np.int64).tobytes(), np.array(items, dtype=np.float64).tobytes())


def _true_in_each(values: npt.NDArray[np.bool_], lengths: list[int]) -> Counts:
    """How many are true in each stretch of these lengths, which may be 0."""
    before = np.append(0, np.cumsum(values, dtype=np.int64))  # of each place
    each: Counts = np.diff(before[np.append(0, np.cumsum(lengths, dtype=np.int64))])
    return each


def summarise_packed(many: Sequence[Packed]) -> list[Summary | None]:
    """`summarise` of each: series of one shape are computed together, equal ones once."""
    shapes: dict[bytes, dict[bytes, Summary | None]] = defaultdict(dict)
    for counts, items in many:
        shapes[counts][items] = None
    for counts, series in shapes.items():
        if counts:  # else every item is empty
            whole = np.frombuffer(b"".join(series)).reshape(len(series), -1)
            series.update(zip(series, _of_shape(whole, np.frombuffer(counts, dtype=np.int64)), strict=True))
    return [shapes[counts][items] for counts, items in many]


def target_means(values: Values) -> list[float | None]:
    """One value a target: the mean over its items that are not empty, None where all are."""
    items = list(chain.from_iterable(values))
    if len(items) == len(values) and all(values):  # one item each, as at batch size 1: five times as quick
        return [None if item is None or not math.isfinite(item) else item + 0.0 for item in items]  # 0.0 for -0.0
    return [mean(target) for target in values]


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of the values that are not empty, None where all are."""
    try:
        total = math.fsum(values)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):  # None; infinities of both signs; too large a sum
        total = math.nan
    if not math.isfinite(total):
        values = _present(values)
        try:
            total = math.fsum(values)
        except OverflowError:  # too large a sum of what has a mean
            return math.fsum(value / len(values) for value in values)
    return total / len(values) if values else None


def paired_interval(before: Sequence[float | None], after: Sequence[float | None]) -> tuple[float, float] | None:
    """95 % interval of the mean of `after - before`, one pair a target.

    A pair with an empty side is skipped; None if no pair is left. One pair alone, which has no interval, gives its
    difference twice. ValueError where the two have different numbers of targets.
    """
    whole = summarise([[difference] for difference in paired_differences(before, after)])
    if whole is None:
        return None
    return (whole.mean, whole.mean) if whole.ci_low is None or whole.ci_high is None else (whole.ci_low, whole.ci_high)


def paired_differences(before: Sequence[float | None], after: Sequence[float | None]) -> list[float]:
    """`after - before` of every pair with no empty side; ValueError where the numbers of targets differ."""
    pairs = zip(before, after, strict=True)
    differences = [second - first for first, second in pairs if first is not None and second is not None]
    return differences if all(map(math.isfinite, differences)) else _present(differences)


def _of_shape(items: Array, counts: Counts) -> list[Summary]:
    """Summaries of series `(series, items)` whose targets have these numbers of items, at least one each."""
    if counts.min() == counts.max():
        sums = items.reshape(len(items), len(counts), -1).sum(axis=2)
    else:
        sums = np.column_stack([part.sum(axis=1) for part in np.split(items, np.cumsum(counts)[:-1], axis=1)])
    means, spreads = (sums.sum(axis=1) / items.shape[1]).tolist(), items.std(axis=1).tolist()
    if len(counts) == 1:
        return [Summary(m, std, None, None, 1) for m, std in zip(means, spreads, strict=True)]
    ends = mean_intervals(sums, np.broadcast_to(counts.astype(np.float64), sums.shape)).T.tolist()
    facts = zip(means, spreads, *ends, strict=True)
    return [Summary(m, std, low, high, len(counts)) for m, std, low, high in facts]


def _present(values: Sequence[float | None]) -> list[float]:
    return [float(v) for v in values if v is not None and math.isfinite(v)]
