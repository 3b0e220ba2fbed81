"""A record and the numbers that tables show of it: computed once, printed in several places."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

from invbench.numbers.columns import Column
from invbench.numbers.intervals import LEAST_UNITS
from invbench.numbers.sheet import GameSheet
from invbench.numbers.statistics import (
    Packed,
    Summary,
    one_each,
    packed,
    paired_differences,
    summarise_packed,
    target_means,
)
from invbench.numbers.whole_cell import Estimate
from invbench.report.leaks import (
    Control,
    Leak,
    all_diverged,
    can_prove,
    controls_of,
    nothing_to_read,
    strongest_control,
    whole_cell,
)
from invbench.report.limited import above_limits
from invbench.report.own_making import own_making
from invbench.report.remarks import remarks
from invbench.report.settings import part_settings
from invbench.sheets import sheet_of
from invbench.store import Record, Scores

BLOCK = 4096
"""Records whose numbers are computed together: values by target are let go after each block."""
CHUNK = 16
"""Records whose lists are packed together: few enough that they are still in a processor's cache."""
LEAN: dict[str, Any] = {"settings": {}, "scores": {}, "evaluations": (), "objectives": ()}
"""What Figures keep of the long fields of a record."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One record and its numbers: metric -> summary, metric -> control -> mean, metric -> strongest control.

    `record` is without settings, but for an offset that is not 0, and values by target: a report holds the figures of
    all cells at once. A metric in which every item is empty is absent. `evidence`: a Leak for each metric that can show
    one and has scores and controls. `evaluations`: of all targets, None where the attack counts none. `remarks`: why
    statistics of the whole cell have no value, or of how many items they are not; `above`: which limits its leak is
    above; `own`: that an attack which can make pictures by itself is no better than on noise. `nothing_to_read`: why
    the cell says nothing of attack and defence, or None. `settings`: its parts' settings by name, as `defense.std`.
    """

    record: Record
    scores: Mapping[str, Summary]
    controls: Mapping[str, Mapping[str, float]]
    strongest: Mapping[str, Control]
    evidence: tuple[Leak, ...]
    evaluations: int | None
    remarks: tuple[str, ...] = ()
    above: tuple[str, ...] = ()
    own: str = ""
    nothing_to_read: str | None = None
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def sheet(self) -> GameSheet:
        """The sheet of the cell's game."""
        return sheet_of(self.record.names["game"])

    @property
    def leak(self) -> Leak | None:
        """The evidence of the game's first metric, of the first that there is where the attack's answers have no such
        value (one that ranks no secrets has no exposure); None without scores or controls."""
        first = self.sheet.first
        return next((leak for leak in self.evidence if leak.metric == first), next(iter(self.evidence), None))

    def leak_by(self, metric: str) -> Leak | None:
        """The evidence of this metric; `leak` where the cell has none of it."""
        return next((leak for leak in self.evidence if leak.metric == metric), self.leak)

    @property
    def shown(self) -> Leak | None:
        """The first evidence that the attack has surely read something, None where no metric shows it."""
        return next((leak for leak in self.evidence if leak.read), None)

    @property
    def unsure(self) -> bool:
        """Whether no metric shows surely that something was read, but some may."""
        return self.shown is None and any(leak.more for leak in self.evidence)


def leading(figures: Sequence[Figures]) -> str:
    """The metric by which cells of one game are compared: the first evidence that surely shows something in one of
    them, for another may show nothing in any; the game's first metric where none does."""
    sheet = figures[0].sheet
    read = {leak.metric for one in figures for leak in one.evidence if leak.read}
    return next((one.metric for one in sheet.evidence if one.metric in read), sheet.first)


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
    """What the controls of a cell come to: what Figures hold of them, and the strongest's mean at each target.

    `by_target` holds the metrics that can be evidence beside these controls and are means. `full`: of the game's first
    metric, at how many targets the strongest leaves no room above it.
    """

    whole: Mapping[str, Scores]  # kept, so that no other ones get its identity
    lean: Mapping[str, Scores]
    means: Mapping[str, Mapping[str, float]]
    strongest: Mapping[str, Control]
    by_target: Mapping[str, list[float | None]]
    full: int


class _Draft(NamedTuple):
    """The little of a record that its Figures are made of. `by_target`: the means of each metric of evidence.

    `above`, `own`: as of Figures. `estimates`: the statistics of the whole cell, and `leaks` what those that are
    evidence are above their control.
    """

    record: Record
    controls: _Controls
    scores: Mapping[str, Packed]
    by_target: Mapping[str, list[float | None]]
    evaluations: int | None
    estimates: Mapping[str, Estimate]
    leaks: Mapping[str, Leak]
    settings: tuple[tuple[str, Any], ...]
    above: tuple[str, ...]
    own: str


def _drafts(records: Iterator[Record]) -> list[_Draft]:
    known = dict[tuple[str, int], _Controls]()  # by identity: cells read together share equal controls
    drafts = list[_Draft]()
    while chunk := list(islice(records, CHUNK)):
        sheets = [sheet_of(r.names["game"]) for r in chunk]
        metrics = [sheet.means_in(r.scores) for sheet, r in zip(sheets, chunk, strict=True)]
        series = iter(packed(r.scores[metric] for r, own in zip(chunk, metrics, strict=True) for metric in own))
        for sheet, record, own in zip(sheets, chunk, metrics, strict=True):
            key = sheet.game, id(record.controls)
            if key not in known:
                known[key] = _controls(record.controls, sheet)
            drafts.append(_draft(sheet, record, known[key], {metric: next(series) for metric in own}))
    return drafts


def _controls(controls: Mapping[str, Scores], sheet: GameSheet) -> _Controls:
    means = controls_of(sheet, controls)
    strongest = {metric: strongest_control(sheet.column(metric), of_metric) for metric, of_metric in means.items()}
    by_target = {
        one.metric: target_means(controls[strongest[one.metric].name][one.metric])
        for one in sheet.evidence
        if one.metric in strongest and can_prove(one, controls, 0) and sheet.column(one.metric).statistic is None
    }
    of_first = [value for value in by_target.get(sheet.first, ()) if value is not None]
    full = sum(sheet.column(sheet.first).room_above(value) < sheet.column(sheet.first).least_gain for value in of_first)
    lean = {name: dict[str, Any]() for name in controls}  # which ones there were
    return _Controls(controls, lean, means, strongest, by_target, full)


def _draft(sheet: GameSheet, record: Record, controls: _Controls, scores: Mapping[str, Packed]) -> _Draft:
    by_target = {
        one.metric: target_means(record.scores[one.metric])
        for one in sheet.evidence
        if one.metric in controls.by_target
        and can_prove(one, controls.whole, record.diverged)
        and one.metric in scores
        and scores[one.metric].items
    }
    lean = Record(**(vars(record) | LEAN | {"controls": controls.lean}))
    if offset := record.settings.get("offset"):  # names do not tell which pictures are attacked
        lean = replace(lean, settings={"offset": offset})
    evaluations = sum(record.evaluations) if record.evaluations else None
    above, own = above_limits(sheet, record), own_making(sheet, record)
    estimates, leaks = dict[str, Estimate](), dict[str, Leak]()
    if sheet.statistics:
        estimates, leaks = whole_cell(sheet, record, controls.whole, controls.strongest)
    return _Draft(
        lean, controls, scores, by_target, evaluations, estimates, leaks, part_settings(record.settings), above, own
    )


def _figures(drafts: Sequence[_Draft]) -> list[Figures]:
    summaries = iter(summarise_packed([series for draft in drafts for series in draft.scores.values()]))
    found, unproved = list[tuple[_Draft, dict[str, Summary], list[Leak]]](), list[list[float]]()
    for draft in drafts:
        every = {metric: next(summaries) for metric in draft.scores}
        sheet = sheet_of(draft.record.names["game"])
        scores = {
            metric: summary.within(*sheet.column(metric).bounds)
            for metric, summary in every.items()
            if summary is not None
        }
        leaks = [_leak(draft, sheet.column(metric), scores[metric].mean, unproved) for metric in draft.by_target]
        if sheet.statistics:
            scores, leaks = _with_statistics(sheet, draft, scores, leaks)
        found.append((draft, scores, leaks))
    proofs = iter(summarise_packed([one_each(gains) for gains in unproved]))
    return [_proved(*each, proofs) for each in found]


def _leak(draft: _Draft, column: Column, mean: float, unproved: list[list[float]]) -> Leak:
    """What a metric is above its control, not `certain` yet; where it is `more`, `unproved` gets its gains."""
    metric, control = column.name, draft.controls.strongest[column.name]
    gain = column.gain(mean - control.mean)
    more = gain > column.least_gain and not all_diverged(draft.record)
    if more:
        differences = paired_differences(draft.controls.by_target[metric], draft.by_target[metric])
        unproved.append(list(map(column.gain, differences)))
    return Leak(metric, gain, control, more, certain=False)


def _proved(
    draft: _Draft, scores: Mapping[str, Summary], evidence: Sequence[Leak], proofs: Iterator[Summary | None]
) -> Figures:
    """The figures with every mean's Leak that is `more` judged by the interval of its paired gains."""
    judged = tuple(
        _judged(leak, next(proofs)) if leak.more and leak.metric in draft.by_target else leak for leak in evidence
    )
    record, controls = draft.record, draft.controls
    sheet = sheet_of(record.names["game"])
    silent = nothing_to_read(sheet, record, controls.strongest)
    own = draft.own if silent is None else ""
    said = remarks(sheet, draft.estimates, controls.strongest, controls.full, record.targets)
    return Figures(
        record=record,
        scores=scores,
        controls=controls.means,
        strongest=controls.strongest,
        evidence=judged,
        evaluations=draft.evaluations,
        remarks=(*([own] if own else []), *draft.above, *said),
        above=draft.above,
        own=own,
        nothing_to_read=silent,
        settings=draft.settings,
    )


def _with_statistics(
    sheet: GameSheet, draft: _Draft, scores: Mapping[str, Summary], leaks: Sequence[Leak]
) -> tuple[dict[str, Summary], list[Leak]]:
    """Means and statistics together, both in the sheet's order; what nothing describes comes last."""
    of_whole = {
        name: Summary(found.value, None, found.ci_low, found.ci_high, found.units).within(*sheet.column(name).bounds)
        for name, found in draft.estimates.items()
        if found.value is not None
    }
    every, order = {**scores, **of_whole}, list(sheet.by_name)
    place = {name: order.index(name) if name in sheet.by_name else len(order) for name in every}
    of_means = {leak.metric: leak for leak in leaks}
    both = {**of_means, **draft.leaks}
    return (
        {name: every[name] for name in sorted(every, key=place.__getitem__)},
        [both[one.metric] for one in sheet.evidence if one.metric in both],
    )


def _judged(leak: Leak, gains: Summary | None) -> Leak:
    """Certain with an interval above zero, of as many targets as are evidence."""
    if gains is None or gains.ci_low is None:
        return leak
    return replace(leak, certain=gains.units >= LEAST_UNITS and gains.ci_low > 0)
