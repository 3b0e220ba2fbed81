"""`summary.csv`: one row a planned cell, every metric of the games present with its spread, interval and control."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from invbench.core.printing import one_line
from invbench.report import naive
from invbench.report.figures import Figures, figures_of_all
from invbench.report.naive import pairs_of
from invbench.report.settings import PARTS
from invbench.report.told import each_told
from invbench.report.utility import COLUMNS as UTILITY
from invbench.report.utility import Cost, costs
from invbench.sheets import every_sheet
from invbench.store import AXES, Results

COUNTS = ("targets", "images", "diverged")
COST = ("attack_seconds", "attack_evaluations", "cell_seconds", "peak_memory_mb")
WHOLE = ("batch_size", "seed", *COUNTS, "attack_evaluations", "certified")
"""Columns of whole numbers, which may be empty."""
TEXT = ("cell", *(axis for axis in AXES if axis not in WHOLE), "status", "device", "reason")
"""Columns of words. All others are numbers with a point, or settings, as they are."""
NOT_RUN = "not run"
"""The status of a planned cell that has no record yet: of it the row has only the id."""
FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
"""What the first sign of a field must not be, as spreadsheets compute what follows; some take the wide ones, too."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
ROWS = 256
"""Rows that are written together: few enough to stay in a processor's cache."""


def rows(results: Results) -> list[dict[str, Any]]:
    """One mapping a planned cell, in plan order, keys in the columns' order; None where a cell has no value."""
    return list(_Table(figures_of_all(each_told(results, settings=True)), results.plan(), costs(results)).rows())


def to_csv(figures: Sequence[Figures], plan: Sequence[str], utility: Mapping[str, Cost] = MappingProxyType({})) -> str:
    """The table as CSV. Twelve digits of a number: equal results give equal bytes. `utility`: costs by cell."""
    import pandas as pd  # late: a worker that lists a result needs none

    table = _Table(figures, plan, utility)
    values = zip(*table.values(), strict=True) if plan else [()] * len(table.columns)
    numbers = set(table.columns) - {*TEXT, *WHOLE, *table.settings}
    # as text already: pandas would take three times as long over `float_format`
    shown = {
        name: [None if v is None or v != v else f"{v:.12g}" for v in of_all]
        if name in numbers
        else list(map(field, of_all))
        for name, of_all in zip(table.columns, values, strict=True)
    }
    return pd.DataFrame(shown, dtype=object).to_csv(index=False, lineterminator="\n", chunksize=ROWS)


class _Table:
    """The columns of a result and its rows in the order of the plan."""

    def __init__(self, figures: Sequence[Figures], plan: Sequence[str], utility: Mapping[str, Cost]) -> None:
        self.figures = {one.record.id: one for one in figures}
        self.plan = plan
        self.metrics = _metrics(figures)
        self.by_name = _controls_by_name(figures)
        self.settings = _settings(figures)
        self.pairs = pairs_of(figures)
        beside = [naive.TITLE] if self.pairs.by_twin else []
        spreads = [f"{metric}_{part}" for metric in self.metrics for part in ("mean", "std", "ci_low", "ci_high")]
        self.with_controls = [metric for metric in self.metrics if metric not in _limits()]
        controls = [f"control_{metric}_mean" for metric in self.with_controls]
        controls += [f"control_{control}_{metric}_mean" for control, metric in self.by_name]
        self.utility = utility
        used = [f"utility_{name}" for name in UTILITY] if utility else []
        beside += [*COST, *used]
        first = ["cell", *AXES, "status", *COUNTS, *spreads, *controls, *beside, "certified", "device", "reason"]
        self.columns = [*first, *self.settings]

    def rows(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.values()]

    def values(self) -> list[list[Any]]:
        """The values of each row in the order of the columns."""
        return [self._row(self.figures[id]) if id in self.figures else self._not_run(id) for id in self.plan]

    def _row(self, one: Figures) -> list[Any]:
        record, nothing = one.record, dict[str, float]()
        spreads: list[float | None] = []
        for metric in self.metrics:
            summary = one.scores.get(metric)
            spreads += [None] * 4 if summary is None else [summary.mean, summary.std, summary.ci_low, summary.ci_high]
        attack, settings = record.seconds.get("attack"), dict(one.settings)
        return [
            record.id,
            *(record.names[axis] for axis in AXES),
            record.status,
            *(getattr(record, count) for count in COUNTS),
            *spreads,
            *(control.mean if (control := one.strongest.get(metric)) else None for metric in self.with_controls),
            *(one.controls.get(metric, nothing).get(control) for control, metric in self.by_name),
            *([self._naive(one)] if self.pairs.by_twin else []),
            attack / record.targets if attack is not None and record.targets else None,
            one.evaluations,
            record.seconds.get("cell"),
            record.memory_mb,
            *(self._used(record.id) if self.utility else ()),
            record.certified,
            record.device,
            record.reason,
            *(settings.get(name) for name in self.settings),
        ]

    def _naive(self, one: Figures) -> float | None:
        """The leading metric's mean of the same attack told of no defence; None where that has none, or was not run."""
        twin = self.pairs.of(one)
        return None if twin is None else naive.value(twin)

    def _used(self, id: str) -> list[float | None]:
        """What the cell's defences cost in use."""
        return self.utility[id].row if id in self.utility else [None] * len(UTILITY)

    def _not_run(self, id: str) -> list[Any]:
        known = {"cell": id, "status": NOT_RUN}
        return [known.get(name) for name in self.columns]


def field(value: object) -> object:
    """A field as CSV holds it: words on one line, and none that a spreadsheet would compute, the door to CSV.

    Words that begin like a formula get an apostrophe before them, unless they are a plain number.
    """
    if not isinstance(value, str):
        return value
    words = one_line(value)
    return f"'{words}" if words[:1] in FORMULA and not NUMBER.fullmatch(words) else words


def _metrics(figures: Sequence[Figures]) -> list[str]:
    """Metrics of the games present in the sheets' order, then what nothing describes, by name.

    A limit, and what says something by having a value (a sheet's `aside`), has columns where some cell has a value.
    """
    games = {one.record.names["game"] for one in figures}
    found = set[str]().union(*(one.scores for one in figures))
    present = [sheet for sheet in every_sheet() if sheet.game in games]
    every = [column for sheet in present for column in sheet.columns]
    rare = {name for sheet in present for name, usual in sheet.layout.aside if usual < 0}
    always = (column.role != "limit" and column.name not in rare for column in every)
    known = dict.fromkeys(
        column.name for column, shown in zip(every, always, strict=True) if shown or column.name in found
    )
    return [*known, *sorted(found - known.keys())]


def _limits() -> set[str]:
    """Metrics that say how far any attack could get, controls too."""
    return {column.name for sheet in every_sheet() for column in sheet.columns if column.role == "limit"}


def _controls_by_name(figures: Sequence[Figures]) -> list[tuple[str, str]]:
    """Controls that have columns of their own: of the games present, and of `update` always, as the contract has it."""
    games = {"update", *(one.record.names["game"] for one in figures)}
    said = (sheet.said.controls_by_name for sheet in every_sheet() if sheet.game in games)
    return list(dict.fromkeys(pair for pairs in said for pair in pairs))


def _settings(figures: Sequence[Figures]) -> list[str]:
    """Every setting that any of the cells has, axis by axis, those of one axis by name."""
    found = {name for pairs in {one.settings for one in figures} for name, _ in pairs}
    return sorted(found, key=lambda name: (PARTS.index(name.partition(".")[0]), name))
