"""A result against a baseline, cell by cell and target by target.

Cells of one id have equal settings, so their targets are paired. A cell whose settings changed has another
id: it is found again by its parts and called changed, never compared as if it were the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from invbench.gate.baseline import GateError, Measured, measured, measured_cells
from invbench.gate.pairs import differing_settings, match_changed
from invbench.gate.reading import nearest, parse
from invbench.gate.verdicts import Direction, Outcome, Verdict, compare_metric, differing_bits, passed
from invbench.numbers.columns import plain_column
from invbench.sheets import columns
from invbench.store import AXES, Record, Results


def check(
    results: Results,
    baseline: Mapping[str, Any],
    tolerances: Mapping[str, float] = MappingProxyType({}),
    direction: Direction = "weaker",
    exact: bool = False,
) -> list[Verdict]:
    """Verdicts of a result against a baseline, sorted by the cells' names; GateError where the baseline is bad.

    `tolerances` replaces the columns' own. `direction` `weaker`: a regression is an attack that got worse by
    its metric's own direction; `stronger`: one that leaks more; `both`: either. `exact`: what would pass, but is not
    the same to the last bit, `differs`.
    """
    return _judge(parse(dict(baseline), "baseline"), results, _Rule(tolerances, direction, exact))


def compare(first: Results, second: Results) -> list[Verdict]:
    """Two results side by side: `before` is the first, `after` the second.

    `improved`: the attack is stronger in the second; `missing`: measured only in the first; `new`: only in
    the second. Every metric that either has measured is a row, also where the other has none.
    """
    before, after = measured_cells(first), measured_cells(second)
    return [row for v in _judge(before, second, _Rule()) for row in _rows(v, before, after)]


def read_tolerances(words: Iterable[str]) -> dict[str, float]:
    """`METRIC=VALUE` words to tolerances; GateError for an unknown metric (with the nearest) or a bad value."""
    tolerances: dict[str, float] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise GateError(f"tolerance {word!r}: must be METRIC=VALUE")
        if name not in columns():
            raise GateError(f"tolerance {word!r}: no metric is called {name!r}{nearest(name)}")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= 0):
            raise GateError(f"tolerance {word!r}: must be a number of at least 0, not {text!r}")
        tolerances[name] = value
    return tolerances


@dataclass(frozen=True)
class _Rule:
    """By what a metric is judged."""

    tolerances: Mapping[str, float] = field(default_factory=dict)
    direction: Direction = "weaker"
    exact: bool = False


def _judge(before: Mapping[str, Measured], results: Results, rule: _Rule) -> list[Verdict]:
    records = {record.id: record for record in results.records()}
    gone = [cell for id, cell in before.items() if id not in records]
    fresh = [measured(r) for r in records.values() if r.id not in before and r.status == "ok"]
    changed = match_changed(gone, fresh)
    planned = set(results.plan())
    verdicts: list[Verdict] = []
    for id, cell in before.items():
        record = records.get(id)
        if record is not None and record.status == "ok":
            now = measured(record)
            verdicts += [_compared(cell, now, m, rule) for m in _metrics(cell, now)]
        elif record is not None:
            verdicts.append(_not_measured(record))
        elif id in changed:
            verdicts += _changed_cell(cell, changed[id])
        else:
            why = "planned, but not run" if id in planned else "is not there any more"
            verdicts.append(Verdict(id, cell.names, None, "missing", message=why))
    answered = {cell.id for cell in changed.values()}
    verdicts += [
        Verdict(c.id, c.names, None, "new", message="was not there before") for c in fresh if c.id not in answered
    ]
    verdicts += [_not_measured(r) for r in records.values() if r.id not in before and r.status in ("failed", "timeout")]
    return sorted(verdicts, key=_order)


def _compared(before: Measured, after: Measured, metric: str, rule: _Rule) -> Verdict:
    """The verdict on a metric of a cell that both have; of one that nothing describes, what its name may mean."""
    column = columns().get(metric) or plain_column(metric)
    limit = rule.tolerances.get(metric, column.tolerance)
    verdict = compare_metric(before, after, column, limit, rule.direction)
    if rule.exact and passed([verdict]) and (bits := differing_bits(before, after, column)):
        verdict = replace(verdict, outcome="differs", message=bits)
    if column.role != "unknown" or verdict.outcome == "same":
        return verdict
    return replace(verdict, message=f"{verdict.message}; no metric is called {metric!r} here{nearest(metric)}")


def _rows(verdict: Verdict, before: Mapping[str, Measured], after: Mapping[str, Measured]) -> list[Verdict]:
    """A verdict on a whole cell as one a metric, with the numbers of the side that has them."""
    first, second = before.get(verdict.cell), after.get(verdict.cell)
    metrics = _in_order({*(first.metrics if first else ()), *(second.metrics if second else ())})
    if verdict.metric is not None or not metrics:
        return [verdict]
    old = {m: first.mean(m) if first else None for m in metrics}
    new = {m: second.mean(m) if second else None for m in metrics}
    return [replace(verdict, metric=m, before=old[m], after=new[m]) for m in metrics]


def _not_measured(record: Record) -> Verdict:
    """A cell of the result that has no numbers: one that cannot be attacked any more is missing."""
    outcome: Outcome = "missing" if record.status == "unsupported" else "failed"
    message = f"{record.status}: {record.reason}" if record.reason else record.status
    return Verdict(record.id, record.names, None, outcome, message=message)


def _changed_cell(before: Measured, after: Measured) -> list[Verdict]:
    """One verdict a metric, with both means but no interval: other settings do not pair targets."""
    message = f"settings changed (now cell {after.id}): " + "; ".join(differing_settings(before, after))
    verdicts = []
    for metric in _metrics(before, after):
        old, new = before.mean(metric), after.mean(metric)
        difference = None if old is None or new is None else new - old
        verdicts.append(Verdict(before.id, after.names, metric, "changed", old, new, difference, None, message))
    return verdicts


def _metrics(before: Measured, after: Measured) -> list[str]:
    """Metrics that have a value on either side, in the columns' order."""
    return _in_order({*before.metrics, *after.metrics})


def _in_order(metrics: set[str]) -> list[str]:
    """In the columns' order, then what nothing describes, by name."""
    return [*(metric for metric in columns() if metric in metrics), *sorted(metrics - columns().keys())]


def _order(verdict: Verdict) -> tuple[Any, ...]:
    """By the cell's axes (numbers as numbers), then its id, then the columns' order."""
    values = [verdict.names.get(axis) for axis in AXES]
    axes = tuple((value, "") if isinstance(value, int) else (-1, str(value or "")) for value in values)
    known = list(columns())
    place = -1 if verdict.metric is None else len(known)
    return axes, verdict.cell, known.index(verdict.metric) if verdict.metric in known else place, verdict.metric or ""
