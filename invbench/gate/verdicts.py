"""What became of a metric or a cell, as data; the rule by which a metric has moved.

A metric of one cell has moved when its mean over targets differs by more than the tolerance and the paired
bootstrap interval of the difference excludes zero; a direction says which way is a regression.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Literal

from invbench.gate.baseline import Measured
from invbench.numbers.columns import COLUMNS
from invbench.numbers.statistics import mean, paired_interval

Outcome = Literal["failed", "missing", "changed", "regressed", "improved", "new", "same"]
Direction = Literal["weaker", "stronger", "both"]

OUTCOMES: tuple[Outcome, ...] = ("failed", "missing", "changed", "regressed", "improved", "new", "same")
"""Worst first."""
FAILING: frozenset[Outcome] = frozenset({"failed", "missing", "changed", "regressed"})
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


def compare_metric(before: Measured, after: Measured, metric: str, limit: float, direction: Direction) -> Verdict:
    """The verdict on a metric that has a value on either side of one cell, targets paired."""

    def verdict(outcome: Outcome, message: str, **numbers: Any) -> Verdict:
        return Verdict(after.id, after.names, metric, outcome, message=message, **numbers)

    old, new = before.of(metric), after.of(metric)
    if not old:
        return verdict("new", "had no value before", after=mean(new))
    if not new:
        return verdict("missing", "has no value any more", before=mean(old))
    if len(old) != len(new):
        message = f"{len(old)} targets before, {len(new)} now: they cannot be paired"
        return verdict("changed", message, before=mean(old), after=mean(new))
    pairs = [(b, a) for b, a in zip(old, new, strict=True) if b is not None and a is not None]
    interval = paired_interval(old, new)
    lost = sum(b is not None for b in old) - len(pairs)
    if lost or interval is None:
        message = f"{lost} of {len(old)} targets have no value any more"
        return verdict("missing", message, before=mean(old), after=mean(new))
    means = {"before": fmean(b for b, _ in pairs), "after": fmean(a for _, a in pairs)}
    difference = fmean(a - b for b, a in pairs)
    outcome, message = _moved(metric, means["before"], difference, interval, limit, direction)
    return verdict(outcome, message, **means, difference=difference, interval=interval)


def _moved(
    metric: str, before: float, difference: float, interval: tuple[float, float], limit: float, direction: Direction
) -> tuple[Outcome, str]:
    """The outcome of a paired difference, and why."""
    column = COLUMNS[metric]
    slack = ROUNDING * max(1.0, abs(before), abs(before + difference))
    if abs(difference) <= limit + slack:
        return "same", ""
    if interval[0] <= 0 <= interval[1]:
        return "same", f"moved by more than {limit:g}, but the interval over targets holds zero"
    stronger = column.gain(difference) > 0
    worse = direction == "both" or stronger == (direction == "stronger")
    unit = f" {column.unit}" if column.unit else ""
    message = (
        f"the attack is {'stronger' if stronger else 'weaker'}: {metric} {column.show(before)} -> "
        f"{column.show(before + difference)}{unit}, moved by {difference:+.{column.decimals}f} "
        f"(95 % interval {interval[0]:+.{column.decimals}f} to {interval[1]:+.{column.decimals}f}, tolerance {limit:g})"
    )
    return ("regressed" if worse else "improved"), message
