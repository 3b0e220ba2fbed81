"""A record and the numbers that tables show of it: computed once, printed in several places."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, NamedTuple

from invbench.numbers.columns import COLUMNS, GAME_COLUMNS
from invbench.numbers.statistics import (
    Packed,
    Summary,
    mean,
    one_each,
    packed,
    paired_differences,
    summarise_packed,
    target_means,
)
from invbench.store import Record, Scores

MARGINS = {"psnr": 1.0}
"""How far above its control a metric must be to have read anything, in its own unit; else its tolerance."""
EVIDENCE = {"update": ("psnr", "identified", "lpips")}
"""The metrics of a game that can show that something was read, in the order in which they are believed; else its first.

LPIPS alone counts only beside the `noise` control: it finds any busy picture, noise included, closer to a photograph
than a flat one, so against `grey` and `mean` an attack that read nothing can look certain.
"""
BLOCK = 4096
"""Records whose numbers are computed together: values by target are let go after each block."""
CHUNK = 16
"""Records whose lists are packed together: few enough that they are still in a processor's cache."""
LEAN: dict[str, Any] = {"settings": {}, "scores": {}, "evaluations": (), "objectives": ()}
"""What Figures keep of the long fields of a record."""


class Control(NamedTuple):
    """An answer that reads nothing from the victim: its name and its mean in one metric."""

    name: str
    mean: float


@dataclass(frozen=True, slots=True)
class Leak:
    """What one metric of a cell is above its strongest control.

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
        """Whether the metric shows that the attack has surely read something."""
        return self.more and self.certain


@dataclass(frozen=True, slots=True)
class Figures:
    """One record and its numbers: metric -> summary, metric -> control -> mean, metric -> strongest control.

    `record` is without settings and values by target: a report holds the figures of all cells at once. A metric
    in which every item is empty is absent. `evidence`: a Leak for each metric that can show one and has scores and
    controls. `evaluations`: of all targets, None where the attack counts none.
    """

    record: Record
    scores: Mapping[str, Summary]
    controls: Mapping[str, Mapping[str, float]]
    strongest: Mapping[str, Control]
    evidence: tuple[Leak, ...]
    evaluations: int | None

    @property
    def leak(self) -> Leak | None:
        """The evidence of the game's first metric, None without its scores or controls."""
        first = GAME_COLUMNS.get(self.record.names["game"], ("",))[0]
        return next((leak for leak in self.evidence if leak.metric == first), None)

    @property
    def shown(self) -> Leak | None:
        """The first evidence that the attack has surely read something, None where no metric shows it."""
        return next((leak for leak in self.evidence if leak.read), None)

    @property
    def unsure(self) -> bool:
        """Whether no metric shows surely that something was read, but some may."""
        return self.shown is None and any(leak.more for leak in self.evidence)


def figures_of(record: Record) -> Figures:
    """The numbers of one record, in the columns of its game."""
    return figures_of_all([record])[0]


def figures_of_all(records: Iterable[Record]) -> list[Figures]:
    """The numbers of each, the same as alone; `records` may be read as they are asked for."""
    rest, found = iter(records), list[Figures]()
    while drafts := _drafts(islice(rest, BLOCK)):
        found += _figures(drafts)
    return found


@contextmanager
def no_collection() -> Iterator[None]:
    """Many records make millions of objects and no cycle: looking for cycles again and again doubles the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


class _Controls(NamedTuple):
    """What the controls of a cell come to: what Figures hold of them, and the strongest's mean at each target."""

    whole: Mapping[str, Scores]  # kept, so that no other ones get its identity
    lean: Mapping[str, Scores]
    means: Mapping[str, Mapping[str, float]]
    strongest: Mapping[str, Control]
    by_target: Mapping[str, list[float | None]]


class _Draft(NamedTuple):
    """The little of a record that its Figures are made of. `by_target`: the means of each metric of evidence."""

    record: Record
    controls: _Controls
    scores: Mapping[str, Packed]
    by_target: Mapping[str, list[float | None]]
    evaluations: int | None


def _drafts(records: Iterator[Record]) -> list[_Draft]:
    known = dict[tuple[str, int], _Controls]()  # by identity: cells read together share equal controls
    drafts = list[_Draft]()
    while chunk := list(islice(records, CHUNK)):
        metrics = [[m for m in GAME_COLUMNS.get(r.names["game"], ()) if m in r.scores] for r in chunk]
        series = iter(packed(r.scores[metric] for r, own in zip(chunk, metrics, strict=True) for metric in own))
        for record, own in zip(chunk, metrics, strict=True):
            key = record.names["game"], id(record.controls)
            if key not in known:
                known[key] = _controls(record.controls, record.names["game"])
            drafts.append(_draft(record, known[key], {metric: next(series) for metric in own}))
    return drafts


def _controls(controls: Mapping[str, Scores], game: str) -> _Controls:
    by_metric = {metric: _control_means(controls, metric) for metric in GAME_COLUMNS.get(game, ())}
    means = {metric: of_metric for metric, of_metric in by_metric.items() if of_metric}
    strongest = {metric: _strongest(metric, of_metric) for metric, of_metric in means.items()}
    by_target = {
        metric: target_means(controls[strongest[metric].name][metric])
        for metric in EVIDENCE.get(game, GAME_COLUMNS.get(game, ())[:1])
        if metric in strongest and (metric != "lpips" or "noise" in controls)
    }
    return _Controls(controls, {name: {} for name in controls}, means, strongest, by_target)  # which ones there were


def _draft(record: Record, controls: _Controls, scores: Mapping[str, Packed]) -> _Draft:
    by_target = {
        metric: target_means(record.scores[metric])
        for metric in controls.by_target
        if metric in scores and scores[metric].items
    }
    lean = Record(**(vars(record) | LEAN | {"controls": controls.lean}))
    return _Draft(lean, controls, scores, by_target, sum(record.evaluations) if record.evaluations else None)


def _figures(drafts: Sequence[_Draft]) -> list[Figures]:
    summaries = iter(summarise_packed([series for draft in drafts for series in draft.scores.values()]))
    found, unproved = list[tuple[_Draft, dict[str, Summary], list[Leak]]](), list[list[float]]()
    for draft in drafts:
        every = {metric: next(summaries) for metric in draft.scores}
        scores = {metric: summary for metric, summary in every.items() if summary is not None}
        found.append((draft, scores, [_leak(draft, scores, metric, unproved) for metric in draft.by_target]))
    proofs = iter(summarise_packed([one_each(gains) for gains in unproved]))
    return [_proved(*each, proofs) for each in found]


def _leak(draft: _Draft, scores: Mapping[str, Summary], metric: str, unproved: list[list[float]]) -> Leak:
    """What a metric is above its control; where it is `more` but not `certain` yet, `unproved` gets its gains.

    Certain is what every target shows: then every resampled mean is on that side, too.
    """
    control = draft.controls.strongest[metric]
    gain = COLUMNS[metric].gain(scores[metric].mean - control.mean)
    if not gain > MARGINS.get(metric, COLUMNS[metric].tolerance):
        return Leak(metric, gain, control, more=False, certain=False)
    differences = paired_differences(draft.controls.by_target[metric], draft.by_target[metric])
    gains = list(map(COLUMNS[metric].gain, differences))
    certain = all(gain > 0 for gain in gains)
    if not certain:
        unproved.append(gains)
    return Leak(metric, gain, control, more=True, certain=certain)


def _proved(
    draft: _Draft, scores: Mapping[str, Summary], evidence: Sequence[Leak], proofs: Iterator[Summary | None]
) -> Figures:
    """The figures with every Leak that is `more` but not `certain` judged by the interval of its paired gains."""
    judged = tuple(_judged(leak, next(proofs)) if leak.more and not leak.certain else leak for leak in evidence)
    return Figures(draft.record, scores, draft.controls.means, draft.controls.strongest, judged, draft.evaluations)


def _judged(leak: Leak, gains: Summary | None) -> Leak:
    return replace(leak, certain=gains is not None and gains.ci_low > 0)


def _control_means(controls: Mapping[str, Scores], metric: str) -> dict[str, float]:
    """Each control's mean over items, those left out that have none."""
    means = {
        name: mean(list(chain.from_iterable(scores[metric]))) for name, scores in controls.items() if metric in scores
    }
    return {name: value for name, value in means.items() if value is not None}


def _strongest(metric: str, means: Mapping[str, float]) -> Control:
    gain = COLUMNS[metric].gain
    return max((Control(*pair) for pair in means.items()), key=lambda control: gain(control.mean))
