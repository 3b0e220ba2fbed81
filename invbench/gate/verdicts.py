"""What became of a metric or a cell, as data; the rule by which a metric has moved.

A metric of one cell has regressed or improved when its mean over targets differs by more than the tolerance and the
paired interval of the difference excludes zero; a direction says which way is a regression. A shift within the
tolerance whose interval excludes zero has `moved`, and passes. Under `exact` every value has to be equal to its last
bit; one that is not `differs`, and does not pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Literal, get_args

from invbench.gate.baseline import Measured
from invbench.numbers.columns import Column
from invbench.numbers.statistics import paired_interval
from invbench.numbers.whole_cell import Statistic, has_inputs, paired
from invbench.sheets import sheet_of

Outcome = Literal["failed", "missing", "changed", "regressed", "differs", "improved", "moved", "new", "same"]
Direction = Literal["weaker", "stronger", "both"]

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""Worst first."""
FAILING: frozenset[Outcome] = frozenset({"failed", "missing", "changed", "regressed", "differs"})
"""The outcomes that a check does not let pass."""

ROUNDING = 1e-9
"""Relative slack: a difference of the tolerance itself is not beyond it, whatever its last bits."""


@dataclass(frozen=True)
class Verdict:
    """What became of one metric of one cell, or (`metric` None) of a whole cell.

    `before`, `after`: means over the targets compared; `difference`: after - before; `interval`: its 95 %
    paired interval, None where the targets are not paired.
    """

    cell: str
    names: Mapping[str, Any]
    metric: str | None
    outcome: Outcome
    before: float | None = None
    after: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    message: str = ""


def passed(verdicts: Iterable[Verdict]) -> bool:
    """Whether a check lets this through: nothing regressed, missing, failed or changed."""
    return not any(v.outcome in FAILING for v in verdicts)


def as_json(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """The verdicts as plain JSON: whether they pass, how many of each outcome, and each one."""
    listed = list(verdicts)
    counts = {outcome: sum(v.outcome == outcome for v in listed) for outcome in OUTCOMES}
    plain = [asdict(v) | {"interval": v.interval and list(v.interval)} for v in listed]
    return {"schema": 1, "passed": passed(listed), "counts": counts, "verdicts": plain}


def compare_metric(before: Measured, after: Measured, column: Column, limit: float, direction: Direction) -> Verdict:
    """The verdict on a metric that has a value on either side of one cell, targets or items paired."""

    def verdict(outcome: Outcome, message: str, **numbers: Any) -> Verdict:
        return Verdict(after.id, after.names, column.name, outcome, message=message, **numbers)

    means = {"before": before.mean(column.name), "after": after.mean(column.name)}
    if means["before"] is None:
        return verdict("new", "had no value before", **means)
    if means["after"] is None:
        return verdict("missing", "has no value any more", **means)
    statistic = column.statistic
    found = _of_targets(before, after, column) if statistic is None else _of_whole(before, after, statistic)
    if isinstance(found, _Unpaired):
        return verdict(found.outcome, found.message, **means)
    outcome, message = _moved(column, found, limit, direction)
    numbers = {"before": found.before, "after": found.after, "difference": found.difference, "interval": found.interval}
    return verdict(outcome, message, **numbers)


def differing_bits(before: Measured, after: Measured, column: Column) -> str | None:
    """How far a metric is from being the same to the last bit, in words, or None where it is.

    Compared is all that a baseline holds: a value a target, or the items of a statistic of the whole cell.
    """
    if column.name in before.statistics or column.name in after.statistics:
        old, new = (_items(cell, column.statistic) for cell in (before, after))
    else:
        old, new = before.of(column.name), after.of(column.name)
    if old == new:
        return None
    if len(old) != len(new):
        return f"{len(old)} values before, {len(new)} now"
    pairs = [(b, a) for b, a in zip(old, new, strict=True) if b != a]
    gaps = [abs(a - b) for b, a in pairs if b is not None and a is not None]
    furthest = f", by at most {max(gaps):.3g}{f' {column.unit}' if column.unit else ''}" if gaps else ""
    return f"not the same to the last bit: {len(pairs)} of {len(old)} values differ{furthest}"


def _items(cell: Measured, statistic: Statistic | None) -> list[float | None]:
    names = sorted(cell.inputs) if statistic is None else statistic.inputs
    return [item for name in names for target in cell.inputs.get(name, ()) for item in target]


@dataclass(frozen=True)
class _Pair:
    """Means over the targets, or statistics of the items, that both have, and what lies between them.

    `units`: how many targets, or items that count; one has no interval.
    """

    before: float
    after: float
    difference: float
    interval: tuple[float, float]
    units: int


@dataclass(frozen=True)
class _Unpaired:
    """Why two cells cannot be compared."""

    outcome: Outcome
    message: str


def _of_targets(before: Measured, after: Measured, column: Column) -> _Pair | _Unpaired:
    old, new = before.of(column.name), after.of(column.name)
    if len(old) != len(new):
        return _Unpaired("changed", f"{len(old)} targets before, {len(new)} now: they cannot be paired")
    pairs = [(b, a) for b, a in zip(old, new, strict=True) if b is not None and a is not None]
    interval = paired_interval(old, new)
    lost = sum(b is not None for b in old) - len(pairs)
    if lost or interval is None:
        return _Unpaired("missing", f"{lost} of {len(old)} targets have no value any more")
    difference = fmean(a - b for b, a in pairs)
    return _Pair(fmean(b for b, _ in pairs), fmean(a for _, a in pairs), difference, interval, len(pairs))


def _of_whole(before: Measured, after: Measured, statistic: Statistic) -> _Pair | _Unpaired:
    if not (has_inputs(statistic, before.inputs) and has_inputs(statistic, after.inputs)):
        return _Unpaired("changed", f"{' and '.join(statistic.inputs)} are not stored on both sides: nothing to pair")
    found = paired(statistic, before.inputs, after.inputs)
    if isinstance(found, str):
        return _Unpaired("changed", found)
    if found.lost:
        items = sheet_of(after.names["game"]).said.item.many
        return _Unpaired("missing", f"{found.lost} of {found.items} {items} have no value any more")
    return _Pair(found.before, found.after, found.after - found.before, found.interval, found.units)


def _moved(column: Column, found: _Pair, limit: float, direction: Direction) -> tuple[Outcome, str]:
    """The outcome of a paired difference, and why."""
    before, difference, interval = found.before, found.difference, found.interval
    slack = ROUNDING * max(1.0, abs(before), abs(before + difference))
    within, holds_zero = abs(difference) <= limit + slack, interval[0] <= 0 <= interval[1]
    if within and (holds_zero or abs(difference) <= slack or found.units == 1):
        return "same", ""
    if holds_zero:
        over = "items" if column.statistic is not None and column.statistic.resampled == "items" else "targets"
        return "same", f"moved by more than {limit:g}, but the interval over {over} holds zero"
    worse, what = _judged(column, column.gain(difference) > 0, direction)
    unit, places = f" {column.unit}" if column.unit else "", _places(column, difference)
    message = (
        f"{'within the tolerance' if within else what}: {column.name} {before:.{places}f} -> "
        f"{before + difference:.{places}f}{unit}, moved by {difference:+.{places}f} "
        f"(95 % interval {interval[0]:+.{places}f} to {interval[1]:+.{places}f}, tolerance {limit:g})"
    )
    return ("moved" if within else "regressed" if worse else "improved"), message


def _places(column: Column, difference: float) -> int:
    """The column's decimals, or as many as show the first digit of a shift that is smaller."""
    return max(column.decimals, -math.floor(math.log10(abs(difference))))


def _judged(column: Column, gained: bool, direction: Direction) -> tuple[bool, str]:
    """Whether a move is a regression, and what it is. `gained`: whether it goes the column's own way.

    A cost and a limit have a welcome direction whoever asks; of what nothing describes, every move is a regression.
    """
    if column.role == "unknown":
        return True, "moved, which way is better is not known"
    if column.role != "leak":
        return direction == "both" or not gained, f"the {column.role} is {'better' if gained else 'worse'}"
    stronger = "stronger" if gained else "weaker"
    return direction in ("both", stronger), f"the attack is {stronger}"
