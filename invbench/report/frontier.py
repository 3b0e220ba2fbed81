"""What a defence leaves of a leak against what it leaves of accuracy: which settings nothing beats on both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from invbench.numbers.columns import Column
from invbench.numbers.statistics import Summary, summarise
from invbench.report.figures import Figures
from invbench.report.leaks import Control
from invbench.report.naming import labels
from invbench.report.utility import Cost

GROUP = ("game", "dataset", "model", "batch_size", "protocol")
"""What is the same for all points of one frontier: victims that are trained first and those that are not stay apart."""


@dataclass(frozen=True)
class Point:
    """One setting of the defences. `leak`: of the strongest attack, by the game's first metric.

    Its interval is over seeds where there are several, else over targets. `accuracy`: a share; its interval is over
    seeds, of a single one over held-out pictures (Wilson). `limit`: beyond which none of a stated kind can get.
    `guarantee`: the note of the record that says of what the epsilon is; empty without one.
    `unbeaten`: no other point leaks less at no less accuracy, or as much at more. `also`: other metrics, as people
    write them, by which some attack on it has surely read something.
    """

    number: int
    defense: str
    label: str
    attack: str
    leak: Summary
    accuracy: Summary
    cost: Cost
    epsilon: float | None = None
    guarantee: str = ""
    limit: float | None = None
    unbeaten: bool = False
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Frontier:
    """The points of one group, the undefended first. `left_out`: defences without a point, and why.

    `control`: the strongest of any point that reads nothing, by the metric; None where none was measured.
    """

    names: Mapping[str, Any]
    metric: Column
    points: tuple[Point, ...]
    left_out: Mapping[str, str]
    control: Control | None = None

    @property
    def bare(self) -> Point | None:
        """The point without a defence."""
        return next((point for point in self.points if point.defense == "none"), None)


def frontiers(figures: Sequence[Figures], costs: Mapping[str, Cost]) -> list[Frontier]:
    """The frontier of each group in which some training has ended, in the order of the cells."""
    groups: dict[tuple[Any, ...], list[Figures]] = {}
    for one in figures:
        if one.record.id in costs:
            groups.setdefault(tuple(one.record.names[axis] for axis in GROUP), []).append(one)
    found = [_frontier(of_group, costs) for of_group in groups.values()]
    return [frontier for frontier in found if frontier.points]


def _frontier(figures: Sequence[Figures], costs: Mapping[str, Cost]) -> Frontier:
    sheet = figures[0].sheet
    metric = sheet.column(sheet.first)
    by_defense: dict[str, list[Figures]] = {}
    for one in figures:
        by_defense.setdefault(str(one.record.names["defense"]), []).append(one)
    ordered = sorted(by_defense, key=lambda defense: defense != "none")
    short, points, left_out = labels(ordered), list[Point](), dict[str, str]()
    for defense in ordered:
        cells = by_defense[defense]
        cost, leaks = costs[cells[0].record.id], _leaks(cells, metric)
        if not leaks:
            left_out[short[defense]] = _why_no_leak(cells)
        elif cost.accuracy is None:
            left_out[short[defense]] = f"no accuracy: {cost.why_none}"
        else:
            attack = max(leaks, key=lambda name: metric.gain(leaks[name].mean))
            limits = (f"limit_{metric.name}_prior", f"limit_{metric.name}")
            points.append(
                Point(
                    number=len(points) + 1,
                    defense=defense,
                    label=short[defense],
                    attack=attack,
                    leak=leaks[attack],
                    accuracy=_accuracy(cost, cost.accuracy),
                    cost=cost,
                    epsilon=_said(cells, ("epsilon",)),
                    guarantee=_guarantee(cells),
                    limit=_said(cells, limits),
                    also=_also(cells, metric),
                )
            )
    marked = tuple(replace(p, unbeaten=not any(_beats(q, p, metric) for q in points)) for p in points)
    controls = [one.strongest[metric.name] for one in figures if metric.name in one.strongest]
    control = max(controls, key=lambda found: metric.gain(found.mean), default=None)
    return Frontier({axis: figures[0].record.names[axis] for axis in GROUP}, metric, marked, left_out, control)


def surely_less_leak(point: Point, other: Point, metric: Column) -> bool:
    """Whether the intervals lie apart: all of `point`'s leak is below the other's."""
    return _below(point.leak, other.leak) if metric.gain(1.0) > 0 else _below(other.leak, point.leak)


def surely_less_accurate(point: Point, other: Point) -> bool:
    """Whether the intervals lie apart: all of `point`'s accuracy is below the other's."""
    return _below(point.accuracy, other.accuracy)


def _below(low: Summary, high: Summary) -> bool:
    return low.ci_high is not None and high.ci_low is not None and low.ci_high < high.ci_low


def _leaks(cells: Sequence[Figures], metric: Column) -> dict[str, Summary]:
    """What each attack reads, over its seeds; cells in which there was nothing to read say nothing."""
    by_attack: dict[str, list[Summary]] = {}
    for one in cells:
        if one.record.status == "ok" and one.nothing_to_read is None and metric.name in one.scores:
            by_attack.setdefault(one.record.names["attack"], []).append(one.scores[metric.name])
    return {attack: _over_seeds(summaries, metric) for attack, summaries in by_attack.items()}


def _over_seeds(summaries: Sequence[Summary], metric: Column) -> Summary:
    if len(summaries) == 1:
        return summaries[0]
    found = summarise([[one.mean] for one in summaries])
    assert found is not None
    return found.within(*metric.bounds)


def _accuracy(cost: Cost, found: Summary) -> Summary:
    """The accuracy with its interval over seeds; of one seed Wilson's over its held-out pictures."""
    if found.units > 1:
        return found
    pictures = next(one.held_out for one in cost.records if one.accuracy is not None) or 1
    share, z = found.mean, 1.959964
    middle = (share + z * z / (2 * pictures)) / (1 + z * z / pictures)
    half = z * math.sqrt(share * (1 - share) / pictures + (z / (2 * pictures)) ** 2) / (1 + z * z / pictures)
    return found._replace(ci_low=max(0.0, middle - half), ci_high=min(1.0, middle + half))


def _beats(one: Point, other: Point, metric: Column) -> bool:
    leaks = metric.gain(one.leak.mean), metric.gain(other.leak.mean)
    no_worse = leaks[0] <= leaks[1] and one.accuracy.mean >= other.accuracy.mean
    return no_worse and (leaks[0] < leaks[1] or one.accuracy.mean > other.accuracy.mean)


def _said(cells: Sequence[Figures], metrics: Sequence[str]) -> float | None:
    """The first of these columns that a cell has a value in, at its largest over cells."""
    for metric in metrics:
        if values := [one.scores[metric].mean for one in cells if metric in one.scores]:
            return max(values)
    return None


def _also(cells: Sequence[Figures], metric: Column) -> tuple[str, ...]:
    """The other metrics that surely show that something was read: a picture is found that is far from its original."""
    read = (leak.metric for one in cells for leak in one.evidence if leak.read and leak.metric != metric.name)
    return tuple(cells[0].sheet.column(name).written for name in dict.fromkeys(read))


def _guarantee(cells: Sequence[Figures]) -> str:
    """What the cell with the largest epsilon notes of it: its delta, mechanism and neighbours."""
    with_one = [one for one in cells if "epsilon" in one.scores]
    if not with_one:
        return ""
    largest = max(with_one, key=lambda one: one.scores["epsilon"].mean)
    return next((note for note in largest.record.notes if note.startswith("epsilon ")), "")


def _why_no_leak(cells: Sequence[Figures]) -> str:
    reasons = [one.nothing_to_read or one.record.reason for one in cells]
    return next((f"no leak: {reason}" for reason in reasons if reason), "no leak was measured")
