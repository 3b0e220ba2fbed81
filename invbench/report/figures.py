"""A record and the numbers that tables show of it: computed once, printed in several places."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import NamedTuple

from invbench.columns import COLUMNS, GAME_COLUMNS
from invbench.statistics import Summary, mean, paired_differences, summarise_many, target_means
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
    while block := list(islice(rest, BLOCK)):
        found += _of_block(block)
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


def _of_block(records: Sequence[Record]) -> list[Figures]:
    metrics = [[m for m in GAME_COLUMNS.get(r.names["game"], ()) if m in r.scores] for r in records]
    summaries = iter(
        summarise_many(r.scores[metric] for r, own in zip(records, metrics, strict=True) for metric in own)
    )
    drafts = [_draft(record, {m: next(summaries) for m in own}) for record, own in zip(records, metrics, strict=True)]
    unproved = [differences for draft in drafts for differences in draft.unproved]
    proofs = iter(summarise_many([[difference] for difference in differences] for differences in unproved))
    return [_proved(draft, [next(proofs) for _ in draft.unproved]) for draft in drafts]


class _Draft(NamedTuple):
    """Figures in which a Leak that is `more` but not `certain` waits for the interval of its paired gains."""

    figures: Figures
    unproved: list[list[float]]


def _draft(record: Record, summaries: Mapping[str, Summary | None]) -> _Draft:
    game = record.names["game"]
    scores = {metric: summary for metric, summary in summaries.items() if summary is not None}
    by_metric = {metric: _control_means(record.controls, metric) for metric in GAME_COLUMNS.get(game, ())}
    controls = {metric: means for metric, means in by_metric.items() if means}
    strongest = {metric: _strongest(metric, means) for metric, means in controls.items()}
    evidence, unproved = [], []
    for metric in EVIDENCE.get(game, GAME_COLUMNS.get(game, ())[:1]):
        if metric in scores and metric in strongest and (metric != "lpips" or "noise" in record.controls):
            gain = COLUMNS[metric].gain(scores[metric].mean - strongest[metric].mean)
            more, certain = gain > MARGINS.get(metric, COLUMNS[metric].tolerance), False
            if more:
                gains = _paired_gains(record, metric, strongest[metric].name)
                certain = all(gain > 0 for gain in gains)  # then every resampled mean is on that side too
                if not certain:
                    unproved.append(gains)
            evidence.append(Leak(metric, gain, strongest[metric], more, certain))
    evaluations = sum(record.evaluations) if record.evaluations else None
    return _Draft(Figures(_lean(record), scores, controls, strongest, tuple(evidence), evaluations), unproved)


def _proved(draft: _Draft, proofs: list[Summary | None]) -> Figures:
    """The figures with every waiting Leak judged by the interval of its gains."""
    if not proofs:
        return draft.figures
    rest = iter(proofs)
    evidence = [
        _judged(leak, next(rest)) if leak.more and not leak.certain else leak for leak in draft.figures.evidence
    ]
    return replace(draft.figures, evidence=tuple(evidence))


def _judged(leak: Leak, gains: Summary | None) -> Leak:
    return replace(leak, certain=gains is not None and gains.ci_low > 0)


def _lean(record: Record) -> Record:
    kept: dict[str, Scores] = {name: {} for name in record.controls}  # which ones there were
    return replace(record, settings={}, scores={}, controls=kept, evaluations=(), objectives=())


def _control_means(controls: Mapping[str, Scores], metric: str) -> dict[str, float]:
    """Each control's mean over items, those left out that have none."""
    means = {
        name: mean(list(chain.from_iterable(scores[metric]))) for name, scores in controls.items() if metric in scores
    }
    return {name: value for name, value in means.items() if value is not None}


def _strongest(metric: str, means: Mapping[str, float]) -> Control:
    gain = COLUMNS[metric].gain
    return max((Control(*pair) for pair in means.items()), key=lambda control: gain(control.mean))


def _paired_gains(record: Record, metric: str, control: str) -> list[float]:
    """How far the attack is above the control at each target, positive where it leaks more."""
    before, after = target_means(record.controls[control][metric]), target_means(record.scores[metric])
    return [COLUMNS[metric].gain(difference) for difference in paired_differences(before, after)]
