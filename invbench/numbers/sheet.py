"""The sheet of a game: its columns, and how tables, pages and the gate treat them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from invbench.core.typed import must_be_typed
from invbench.numbers.columns import Column, plain_column

Spread = Literal["std", "interval"]


@dataclass(frozen=True)
class Noun:
    """What one item of a game's scores is called: picture, person, candidate, string."""

    one: str
    many: str

    def __post_init__(self) -> None:
        must_be_typed(self)


@dataclass(frozen=True)
class Evidence:
    """A metric that can show that something was read.

    Where `beside` names a control, which is the same attack on something else, the metric proves something only where
    that control was asked for and did the same work: no target diverged, for what a diverged run gives back may be
    its start.
    """

    metric: str
    beside: str | None = None

    def __post_init__(self) -> None:
        must_be_typed(self)


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A limit that the report holds a leak against: a cell whose leak is above it by more than `slack` is named.

    Both are means over targets, of items that are averaged before. `decibels`: they are those of squared errors, which
    are averaged instead of their logarithms. `words`: what the limit is of, and why a leak can be above it.
    """

    leak: str
    limit: str
    slack: float
    words: str
    decibels: bool = False

    def __post_init__(self) -> None:
        must_be_typed(self)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the report's tables show: these metrics, and beside each a column for each of these controls.

    Without controls there is one column, of the strongest. `spread`: beside a mean stands the standard deviation
    over items, or the 95 % interval over targets. `aside`: metrics that follow, mean alone, where some cell has
    another value than the one that says nothing (-1 of what is never negative: any value says something, and beside a
    leak that has one stands its strongest control).
    """

    metrics: tuple[str, ...]
    controls: tuple[str, ...] = ()
    spread: Spread = "interval"
    aside: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        must_be_typed(self)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What `invbench/sheets/NAME.py`, or the module of an entry point `sheets.NAME`, holds as `SHEET`.

    `columns`: in the order of tables; a word is the name of a metric file, whose column it is. Metrics that state
    the game and are not named here follow, by name. `evidence`: in the order in which it is believed; None: the
    first leak alone. `layout`: None: every column. `controls`: those that a matrix can ask for, in their order, and
    those of them that it gets unasked. `controls_by_name`: `(control, metric)` pairs that have a column of their own
    in `summary.csv`. `legend`: sentences added to the report's. `place`: among the games in what shows several,
    lowest first, then by name. `silent`: a regular expression of notes by which the game says of how many targets
    there was nothing to read, whatever the attack or the defence; its first group is that number. `remarks`: sentences
    that follow from a cell's statistics, given their values by name, those left out that are empty. `caught`: a column
    whose statistic is a true positive rate: the report says which items several attacks find at it. `bounds`: limits
    that a leak should not be above. `answers`: metrics of the answers themselves, by which an attack that can make them
    of nothing is held against the control that always runs beside it (`@attack(controls=...)`).
    """

    columns: tuple[str | Column, ...]
    item: Noun
    evidence: tuple[Evidence, ...] | None = None
    layout: Layout | None = None
    controls: tuple[str, ...] = ()
    controls_by_default: tuple[str, ...] = ()
    controls_by_name: tuple[tuple[str, str], ...] = ()
    legend: tuple[str, ...] = ()
    place: int = 100
    silent: str = ""
    remarks: Callable[[Mapping[str, float]], Sequence[str]] | None = None
    caught: str = ""
    bounds: tuple[Bound, ...] = ()
    answers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        must_be_typed(self)


@dataclass(frozen=True, kw_only=True)
class GameSheet:
    """A game's sheet with every column found. `added`: names of metrics that the sheet does not name itself.

    `plain`: why there is no sheet, where there is none; then nothing is known of what the game's records hold.
    """

    game: str
    said: Sheet
    columns: tuple[Column, ...]
    added: frozenset[str] = field(default_factory=frozenset)
    plain: str | None = None

    @cached_property
    def by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @cached_property
    def mean_names(self) -> tuple[str, ...]:
        """The metrics that are means over targets."""
        return tuple(column.name for column in self.columns if column.statistic is None)

    @cached_property
    def statistics(self) -> tuple[Column, ...]:
        """The columns that are statistics of a whole cell."""
        return tuple(column for column in self.columns if column.statistic is not None)

    @cached_property
    def inputs(self) -> frozenset[str]:
        """Scores that are stored for statistics."""
        return frozenset(name for column in self.statistics if column.statistic for name in column.statistic.inputs)

    @cached_property
    def first(self) -> str:
        """The metric that cells are ordered and headed by: the first leak; an empty word where there is none."""
        return next((column.name for column in self.columns if column.role == "leak"), "")

    @cached_property
    def evidence(self) -> tuple[Evidence, ...]:
        """The metrics that can show that something was read, those left out whose column is not there."""
        said = (Evidence(self.first),) if self.said.evidence is None else self.said.evidence
        return tuple(one for one in said if one.metric in self.by_name and self.by_name[one.metric].role == "leak")

    @cached_property
    def layout(self) -> Layout:
        """The layout of the tables, with the added metrics and without those whose column is not there."""
        said = self.said.layout or Layout(metrics=tuple(self.by_name))
        shown = (*said.metrics, *(name for name in self.by_name if name in self.added and name not in said.metrics))
        metrics = tuple(name for name in shown if name in self.by_name)
        aside = tuple((name, usual) for name, usual in said.aside if name in self.by_name)
        return Layout(metrics=metrics, controls=said.controls, spread=said.spread, aside=aside)

    def column(self, metric: str) -> Column:
        """The column of a metric, a plain one where nothing describes it."""
        return self.by_name.get(metric) or plain_column(metric)

    def means_in(self, scores: Collection[str]) -> list[str]:
        """The metrics of stored scores that are means: the columns in order, then what nothing describes."""
        known = [name for name in self.mean_names if name in scores]
        if len(known) == len(scores):
            return known
        return known + [name for name in scores if name not in self.by_name and name not in self.inputs]
