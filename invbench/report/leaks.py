"""Controls, what a metric of a cell is above the strongest of them, and the statistics of whole cells among them."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from invbench.core.digits import whole
from invbench.numbers.columns import Column
from invbench.numbers.intervals import LEAST_UNITS
from invbench.numbers.sheet import Evidence, GameSheet
from invbench.numbers.statistics import mean
from invbench.numbers.whole_cell import Estimate, Paired, estimate, has_inputs, paired, value
from invbench.store import Record, Scores


class Control(NamedTuple):
    """An answer that reads nothing from the victim: its name and its mean in one metric."""

    name: str
    mean: float


@dataclass(frozen=True, slots=True)
class Leak:
    """What one metric of a cell is above its strongest control.

    `gain`: signed so that a positive one is a leak. `more`: whether it is more than the margin; without it, or where
    every target diverged, the attack has read nothing. `certain`: whether the paired 95 % interval lies above zero
    and there are `LEAST_UNITS` targets, or items of a statistic.
    """

    metric: str
    gain: float
    control: Control
    more: bool
    certain: bool

    @property
    def read(self) -> bool:
        """Whether the metric shows that the attack has surely read something."""
        return self.more and self.certain


def controls_of(sheet: GameSheet, controls: Mapping[str, Scores]) -> dict[str, dict[str, float]]:
    """Metric to control to its mean, or its value of a statistic of the whole cell."""
    names = sheet.means_in(dict.fromkeys(chain.from_iterable(controls.values())))
    by_metric = {metric: _control_means(controls, metric) for metric in names}
    by_metric |= {column.name: _control_values(controls, column) for column in sheet.statistics}
    return {metric: of_metric for metric, of_metric in by_metric.items() if of_metric}


def can_prove(evidence: Evidence, controls: Container[str], diverged: int) -> bool:
    """Whether a metric can show beside these controls, with so many targets diverged, that something was read."""
    return evidence.beside is None or (evidence.beside in controls and not diverged)


def all_diverged(record: Record) -> bool:
    """Whether no target has an answer that its attack arrived at: then the cell has read nothing."""
    return 0 < record.targets <= record.diverged


def nothing_to_read(sheet: GameSheet, record: Record, strongest: Mapping[str, Control]) -> str | None:
    """Why nothing could be read in this cell, whatever attack and defence, or None: then it says nothing of either.

    The game's own notes say that nothing was shared; a control that leaves no room above it is the truth already.
    """
    if record.status != "ok":
        return None
    found = [re.match(sheet.said.silent, note) for note in record.notes] if sheet.said.silent else []
    if 0 < record.targets <= sum(whole(said[1]) or 0 for said in found if said):
        return "; ".join(note for note, said in zip(record.notes, found, strict=True) if said)
    if (control := strongest.get(sheet.first)) is None:
        return None
    column = sheet.column(sheet.first)
    if column.room_above(control.mean) >= column.least_gain:
        return None
    said = f"{column.written} {column.show(control.mean)} {column.unit}".rstrip()
    return f"the control {control.name} has {said} already: no room is left above it"


def strongest_control(column: Column, means: Mapping[str, float]) -> Control:
    return max((Control(*pair) for pair in means.items()), key=lambda control: column.gain(control.mean))


def whole_cell(
    sheet: GameSheet, record: Record, controls: Mapping[str, Scores], strongest: Mapping[str, Control]
) -> tuple[dict[str, Estimate], dict[str, Leak]]:
    """The statistics of the whole cell, and what those that are evidence are above their strongest control."""
    statistics = {column.name: column.statistic for column in sheet.statistics if column.statistic}
    there = {name: statistic for name, statistic in statistics.items() if has_inputs(statistic, record.scores)}
    estimates = {name: estimate(statistic, record.scores) for name, statistic in there.items()}
    leaks = dict[str, Leak]()
    for one in sheet.evidence:
        found = estimates.get(one.metric)
        proves = can_prove(one, controls, record.diverged)
        if found is None or found.value is None or one.metric not in strongest or not proves:
            continue
        column, control = sheet.column(one.metric), strongest[one.metric]
        gain = column.gain(found.value - control.mean)
        more = gain > column.least_gain and not all_diverged(record)
        pair = paired(there[one.metric], controls[control.name], record.scores) if more else ""
        leaks[one.metric] = Leak(one.metric, gain, control, more, not isinstance(pair, str) and _certain(column, pair))
    return estimates, leaks


def _certain(column: Column, pair: Paired) -> bool:
    return pair.units >= LEAST_UNITS and min(map(column.gain, pair.interval)) > 0


def _control_means(controls: Mapping[str, Scores], metric: str) -> dict[str, float]:
    """Each control's mean over items, those left out that have none."""
    means = {
        name: mean(list(chain.from_iterable(scores[metric]))) for name, scores in controls.items() if metric in scores
    }
    return {name: value for name, value in means.items() if value is not None}


def _control_values(controls: Mapping[str, Scores], column: Column) -> dict[str, float]:
    """Each control's value of a statistic, those left out that have none."""
    statistic = column.statistic
    found = {
        name: value(statistic, scores).value
        for name, scores in controls.items()
        if statistic is not None and has_inputs(statistic, scores)
    }
    return {name: whole for name, whole in found.items() if whole is not None}
