"""A record and the numbers that tables show of it: computed once, printed in several places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from invbench.columns import COLUMNS, GAME_COLUMNS
from invbench.statistics import Summary, mean, paired_differences, paired_interval, summarise, target_means
from invbench.store import Record, Scores

MARGINS = {"psnr": 1.0}
"""How far above its control a metric must be to have read anything, in its own unit; else its tolerance."""


class Control(NamedTuple):
    """An answer that reads nothing from the victim: its name and its mean in one metric."""

    name: str
    mean: float


@dataclass(frozen=True)
class Leak:
    """What a cell's first metric is above its strongest control.

    `gain`: signed so that a positive one is a leak. `more`: whether it is more than the margin; without it
    the attack has read nothing. `certain`: whether the paired 95 % interval over targets lies above zero.
    """

    metric: str
    gain: float
    control: Control
    more: bool
    certain: bool

    @property
    def read(self) -> bool:
        """Whether the attack has surely read something."""
        return self.more and self.certain


@dataclass(frozen=True)
class Figures:
    """One record and its numbers: metric -> summary, metric -> control -> mean, metric -> strongest control.

    A metric in which every item is empty is absent. `leak` is None without scores or without controls.
    """

    record: Record
    scores: Mapping[str, Summary]
    controls: Mapping[str, Mapping[str, float]]
    strongest: Mapping[str, Control]
    leak: Leak | None


def figures_of(record: Record) -> Figures:
    """The numbers of one record, in the columns of its game."""
    metrics = GAME_COLUMNS.get(record.names["game"], ())
    summaries = {metric: summarise(record.scores[metric]) for metric in metrics if metric in record.scores}
    scores = {metric: summary for metric, summary in summaries.items() if summary is not None}
    controls = {metric: _control_means(record, metric) for metric in metrics}
    strongest = {metric: _strongest(metric, means) for metric, means in controls.items() if means}
    return Figures(record, scores, controls, strongest, _leak(record, scores, strongest))


def _control_means(record: Record, metric: str) -> dict[str, float]:
    means = {name: _mean_of_items(scores, metric) for name, scores in record.controls.items()}
    return {name: value for name, value in means.items() if value is not None}


def _mean_of_items(scores: Scores, metric: str) -> float | None:
    return mean([item for target in scores.get(metric, ()) for item in target])


def _strongest(metric: str, means: Mapping[str, float]) -> Control:
    gain = COLUMNS[metric].gain
    return max((Control(*pair) for pair in means.items()), key=lambda control: gain(control.mean))


def _leak(record: Record, scores: Mapping[str, Summary], strongest: Mapping[str, Control]) -> Leak | None:
    metric = GAME_COLUMNS.get(record.names["game"], ("",))[0]
    if metric not in scores or metric not in strongest:
        return None
    control, column = strongest[metric], COLUMNS[metric]
    gain = column.gain(scores[metric].mean - control.mean)
    more = gain > MARGINS.get(metric, column.tolerance)
    return Leak(metric, gain, control, more, more and _is_certain(record, metric, control.name))


def _is_certain(record: Record, metric: str, control: str) -> bool:
    """Whether the paired 95 % interval of attack against control lies wholly on the attack's side."""
    gain = COLUMNS[metric].gain
    before, after = target_means(record.controls[control][metric]), target_means(record.scores[metric])
    if all(gain(difference) > 0 for difference in paired_differences(before, after)):
        return True  # then every resampled mean is on that side too
    interval = paired_interval(before, after)
    return interval is not None and min(map(gain, interval)) > 0
