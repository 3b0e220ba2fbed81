"""The column `naive`: what an attack reads that is told of no defence, beside its adaptive twin.

A cell of `adaptive: false` (`play/knowing.py`) is joined to the cell that differs in nothing else. Where both are in a
report the twin's row holds both numbers; one without its twin has a row of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from invbench.numbers.intervals import LEAST_UNITS
from invbench.numbers.statistics import paired_differences, paired_interval, target_means
from invbench.numbers.whole_cell import paired
from invbench.report import wording
from invbench.report.figures import Figures
from invbench.report.tables import code, text
from invbench.store import Record, Results

TITLE = "naive"
KNOWLEDGE = "what the attack knows of the defence"
"""In what the cells of a pair differ, as it reads among axes."""
LEGEND = """\
Naive: the game's first metric of the same attack told of no defence (`adaptive: false`); empty where it was not run."""
MOST_SAID = 12
"""Pairs of one kind that are told in words, a sentence each; the others are counted."""

_NAIVE = re.compile(r",adaptive=false(?=[,)])|(?<=\()adaptive=false,|\(adaptive=false\)")


@dataclass(frozen=True)
class Pairs:
    """The naive cell of each adaptive cell that has one, by the adaptive one's id."""

    by_twin: Mapping[str, Figures]

    @property
    def folded(self) -> frozenset[str]:
        """Ids of the naive cells, whose numbers stand in their twins' rows."""
        return frozenset(one.record.id for one in self.by_twin.values())

    def of(self, twin: Figures) -> Figures | None:
        return self.by_twin.get(twin.record.id)

    def rows(self, figures: Iterable[Figures]) -> list[Figures]:
        """The cells that have rows of their own."""
        folded = self.folded
        return [one for one in figures if one.record.id not in folded]

    def under_one_name(self, figures: Iterable[Figures]) -> list[Figures]:
        """All cells, each naive one that has a twin under the twin's name: for tables that show the strongest."""
        folded = self.folded
        return [_renamed(one) if one.record.id in folded else one for one in figures]


def pairs_of(figures: Sequence[Figures]) -> Pairs:
    """Who is whose twin, by everything that names a cell, its targets and its data."""
    if not any(adaptive_name(one) is not None for one in figures):
        return Pairs({})
    twins = {_key(one, str(one.record.names["attack"])): one for one in figures if adaptive_name(one) is None}
    found = dict[str, Figures]()
    for one in figures:
        name = adaptive_name(one)
        twin = None if name is None else twins.get(_key(one, name))
        if twin is not None:
            found.setdefault(twin.record.id, one)
    return Pairs(found)


def adaptive_name(one: Figures) -> str | None:
    """The name of the adaptive twin of a naive cell's attack; None of any other cell."""
    name = str(one.record.names["attack"])
    without = _NAIVE.sub("", name)
    return None if without == name else without


def value(naive: Figures) -> float | None:
    """The naive cell's mean of its game's first metric."""
    summary = naive.scores.get(naive.sheet.first)
    return None if summary is None else summary.mean


def shown(naive: Figures | None) -> str:
    """That in a table; why there is none where the cell has none; nothing where it was not run."""
    if naive is None:
        return ""
    if (mean := value(naive)) is not None:
        return naive.sheet.column(naive.sheet.first).show(mean)
    return "no value" if naive.record.status == "ok" else naive.record.status


def in_words(results: Results, figures: Sequence[Figures], pairs: Pairs) -> list[str]:
    """What knowing the defence is worth, and every pair in which the attack reads more without knowing it."""
    compared = [
        (one, naive, found)
        for one in figures
        if (naive := pairs.of(one)) is not None and (found := _compared(results, one, naive)) is not None
    ]
    if not compared:
        return []
    helps = sum(gain < 0 and sure for _, _, (gain, sure) in compared)
    harms = [pair for pair in compared if pair[2][0] > 0 and pair[2][1]]
    maybe = [pair for pair in compared if _more(pair[0], pair[2][0]) and not pair[2][1]]
    rest = len(compared) - helps - len(harms)
    lines = [
        f"- Cells that were also played by an attack told of no defence: {len(compared)}. Knowing the defence surely"
        f" reads more in {helps} and less in {len(harms)}; in {rest} neither is sure."
    ]
    for these, surely in ((harms, "surely"), (maybe, "maybe by chance")):
        lines += [f"- {_sentence(one, naive, surely)}" for one, naive, _ in these[:MOST_SAID]]
        if len(these) > MOST_SAID:
            lines.append(f"- {len(these) - MOST_SAID} more in which it reads less, {surely}, stand in the tables.")
    return ["What attacks gain by knowing the defence:\n\n" + "\n".join(lines)]


def _sentence(one: Figures, naive: Figures, surely: str) -> str:
    """That an attack reads more where it is told of no defence."""
    names, column = one.record.names, one.sheet.column(one.sheet.first)
    values = [wording.with_unit(column, each.scores[column.name].mean) for each in (one, naive)]
    defense = "" if names["defense"] is None else f"Under {code(names['defense'])}, "
    return (
        f"{defense}{wording.attacked(names)} is worse for knowing the defence, {surely}: {text(column.written)}"
        f" {values[0]} against {values[1]} naive; {wording.setting(names)}."
    )


def _more(one: Figures, gain: float) -> bool:
    return gain > one.sheet.column(one.sheet.first).least_gain


def _compared(results: Results, one: Figures, naive: Figures) -> tuple[float, bool] | None:
    """How much more the naive attack reads by the game's first metric, and whether either is surely ahead.

    None where a side has no value. Sure: the 95 % interval of the difference, paired by target or item, leaves out
    zero, over at least `LEAST_UNITS` of them.
    """
    first, known = value(one), value(naive)
    records = [results.record(each.record.id) for each in (one, naive)]
    before, after = records
    if first is None or known is None or before is None or after is None:
        return None
    column = one.sheet.column(one.sheet.first)
    ends, units = _interval(one, before, after)
    sure = ends is not None and units >= LEAST_UNITS and not ends[0] <= 0 <= ends[1]
    return column.gain(known - first), sure


def _interval(one: Figures, before: Record, after: Record) -> tuple[tuple[float, float] | None, int]:
    """The paired interval of the naive attack's value minus its twin's, and of how many units."""
    column = one.sheet.column(one.sheet.first)
    if column.statistic is not None:
        found = paired(column.statistic, before.scores, after.scores)
        return (None, 0) if isinstance(found, str) else (found.interval, found.units)
    sides = [target_means(record.scores[column.name]) for record in (before, after)]
    if len(sides[0]) != len(sides[1]):
        return None, 0
    return paired_interval(*sides), len(paired_differences(*sides))


def _renamed(one: Figures) -> Figures:
    names = {**one.record.names, "attack": adaptive_name(one)}
    return replace(one, record=replace(one.record, names=names))


def _key(one: Figures, attack: str) -> tuple[object, ...]:
    record = one.record
    names = (value for axis, value in record.names.items() if axis != "attack")
    return attack, *names, record.targets, record.settings.get("offset"), record.dataset.get("hash")
