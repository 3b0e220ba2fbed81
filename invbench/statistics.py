"""Means with their spread and interval: percentile bootstrap over targets (`bootstrap.py`).

The unit of resampling is the target: the pictures of one batch share their update and are not independent.
Equal values always give equal intervals, whatever else is summarised in the same call.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from invbench.bootstrap import intervals

Array = npt.NDArray[np.float64]
Values = Sequence[Sequence[float | None]]
"""`target -> item`; None and what is not finite is empty."""


class Summary(NamedTuple):
    """A metric over a cell: mean over items, their standard deviation, 95 % interval of the mean over targets."""

    mean: float
    std: float
    ci_low: float
    ci_high: float


def summarise(values: Values) -> Summary | None:
    """Summary of `values[target][item]`; empty items (None, not finite) are skipped, None if all are empty.

    `std` is over the items as they are (divisor N): the spread of these pictures, not an estimate for others.
    One target alone has no interval: its two ends are the mean.
    """
    return summarise_many([values])[0]


def summarise_many(many: Iterable[Values]) -> list[Summary | None]:
    """`summarise` of each, bit for bit: series of one shape are computed together, equal ones once."""
    shapes: dict[tuple[int, ...], dict[bytes, Array]] = defaultdict(dict)  # items of each target -> content -> items
    keys = []
    for items, counts in _flat(many):
        content = items.tobytes()
        shapes[counts].setdefault(content, items)
        keys.append((counts, content))
    known = {counts: dict(zip(series, _of_shape(series, counts), strict=True)) for counts, series in shapes.items()}
    return [known[counts][content] for counts, content in keys]


def target_means(values: Values) -> list[float | None]:
    """One value a target: the mean over its items that are not empty, None where all are."""
    return [mean(target) for target in values]


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of the values that are not empty, None where all are."""
    try:
        total = math.fsum(values)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):  # None; infinities of both signs; too large a sum
        total = math.nan
    if not math.isfinite(total):
        values = _present(values)
        total = math.fsum(values)
    return total / len(values) if values else None


def paired_interval(before: Sequence[float | None], after: Sequence[float | None]) -> tuple[float, float] | None:
    """95 % interval of the mean of `after - before`, one pair a target.

    A pair with an empty side is skipped; None if no pair is left. One pair alone gives its difference twice.
    ValueError where the two have different numbers of targets.
    """
    whole = summarise([[difference] for difference in paired_differences(before, after)])
    return None if whole is None else (whole.ci_low, whole.ci_high)


def paired_differences(before: Sequence[float | None], after: Sequence[float | None]) -> list[float]:
    """`after - before` of every pair with no empty side; ValueError where the numbers of targets differ."""
    pairs = zip(before, after, strict=True)
    differences = [second - first for first, second in pairs if first is not None and second is not None]
    return _present(differences)


def _flat(many: Iterable[Values]) -> Iterator[tuple[Array, tuple[int, ...]]]:
    """Of each series the items that are not empty, target after target, and how many each target has that has any."""
    flat, counts = list[float | None](), list[tuple[int, ...]]()
    for values in many:
        flat.extend(chain.from_iterable(values))
        counts.append(tuple(map(len, values)))
    whole = np.array(flat, dtype=np.float64)  # None becomes NaN
    present, start = np.isfinite(whole), 0
    for each in counts:
        stop = start + sum(each)
        here = present[start:stop]
        if 0 not in each and here.all():
            yield whole[start:stop], each
        else:
            kept = [int(part.sum()) for part in np.split(here, np.cumsum(each)[:-1])]
            yield whole[start:stop][here], tuple(count for count in kept if count)
        start = stop


def _of_shape(series: Mapping[bytes, Array], counts: tuple[int, ...]) -> list[Summary | None]:
    """Summaries of series whose targets have these numbers of items."""
    if not counts:
        return [None] * len(series)
    items = np.stack(list(series.values()))
    if min(counts) == max(counts):
        sums = items.reshape(len(items), len(counts), counts[0]).sum(axis=2)
    else:
        sums = np.column_stack([part.sum(axis=1) for part in np.split(items, np.cumsum(counts)[:-1], axis=1)])
    ends = intervals(sums, np.broadcast_to(np.array(counts, dtype=np.float64), sums.shape))
    facts = np.column_stack([sums.sum(axis=1) / sum(counts), items.std(axis=1), ends])
    return [Summary._make(row) for row in facts.tolist()]


def _present(values: Sequence[float | None]) -> list[float]:
    return [float(v) for v in values if v is not None and math.isfinite(v)]
