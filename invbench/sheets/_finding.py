"""Sheets and metrics by name, brought together: what a game's columns are, and that no two mean different things."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache

from invbench import registry
from invbench.core.errors import Refusal
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric
from invbench.numbers.sheet import GameSheet, Noun, Sheet

NO_SHEET = Sheet(columns=(), item=Noun("item", "items"))


class Clash(Refusal):
    """Two files say different things of metrics of one name; the message names both."""


@cache
def sheet_of(game: str) -> GameSheet:
    """The sheet of a game with all of its columns; a plain one where nothing installed describes the game.

    Clash where two files describe a metric of one name.
    """
    try:
        said, file = registry.held("sheet", game, Sheet)
    except registry.UnknownName:
        return GameSheet(game=game, said=NO_SHEET, columns=(), plain="no package that describes it is installed here")
    except registry.BrokenPart as error:
        return GameSheet(game=game, said=NO_SHEET, columns=(), plain=f"its sheet cannot be read: {error}")
    found: dict[str, Column] = {}
    files: dict[str, str] = {}
    for column, where in _own(said, file, game):
        _agree(found.setdefault(column.name, column), files.setdefault(column.name, where), column, where)
    added = [(metric.column, where) for metric, where in _metrics().values() if game in metric.games]
    theirs = {column.name for column, _ in added} - found.keys()
    for column, where in added:
        _agree(found.setdefault(column.name, column), files.setdefault(column.name, where), column, where)
    return GameSheet(game=game, said=said, columns=tuple(found.values()), added=frozenset(theirs))


@cache
def every_sheet() -> tuple[GameSheet, ...]:
    """The sheet of every game that has one, in the order of tables that show several; Clash as for `columns`."""
    found = [sheet_of(game) for game in registry.names("sheet")]
    known: dict[str, tuple[Column, str]] = {}
    for sheet in found:
        for column in sheet.columns:
            first, where = known.setdefault(column.name, (column, _file_of(column, sheet.game)))
            _agree(first, where, column, _file_of(column, sheet.game))
    return tuple(sorted(found, key=lambda sheet: (sheet.said.place, sheet.game)))


@cache
def columns() -> dict[str, Column]:
    """Every metric of every game by name, in the order of tables; Clash where one name has two meanings."""
    return {column.name: column for sheet in every_sheet() for column in sheet.columns}


def metric_of(name: str) -> Metric | None:
    """The metric file of that name; None where a sheet alone has the column, or the file cannot be used."""
    found = _metrics().get(name)
    return None if found is None else found[0]


def forget() -> None:
    """Forget what was found: other packages may be installed now."""
    for found in (sheet_of, every_sheet, columns, _loaded):
        found.cache_clear()


def broken_metrics() -> dict[str, str]:
    """Metrics that cannot be used, and what is wrong with each."""
    return _loaded()[1]


def _metrics() -> dict[str, tuple[Metric, str]]:
    """Every metric that can be used with its file, by name."""
    return _loaded()[0]


@cache
def _loaded() -> tuple[dict[str, tuple[Metric, str]], dict[str, str]]:
    """Metrics by name, and what is wrong with those that are left out: a broken one costs its own column, no more."""
    found: dict[str, tuple[Metric, str]] = {}
    broken: dict[str, str] = {}
    for name in registry.names("metric"):
        try:
            metric, file = registry.held("metric", name, Metric)
            if metric.column.name.replace("_", "-") != name.replace("_", "-"):
                raise registry.BrokenPart(f"{file}: is called {name}, its column {metric.column.name}")
            if metric.column.name in found:
                raise registry.BrokenPart(f"{file}: has the name of {found[metric.column.name][1]}")
        except registry.BrokenPart as error:
            broken[name.replace("-", "_")] = str(error)
            warnings.warn(f"metric {name} is left out: {error}", stacklevel=2)
        else:
            found[metric.column.name] = metric, file
    return found, broken


def _own(said: Sheet, file: str, game: str) -> Iterator[tuple[Column, str]]:
    """The columns that a sheet names, each with the file that describes it; a metric that is not there is left out."""
    for column in said.columns:
        if isinstance(column, Column):
            yield column, file
        elif column in _metrics():
            metric, where = _metrics()[column]
            yield metric.column, where
        else:
            warnings.warn(f"game {game} has no {column}: no such metric can be used", stacklevel=2)


def _file_of(column: Column, game: str) -> str:
    """The file that describes a column of a game."""
    metric = _metrics().get(column.name)
    return metric[1] if metric and metric[0].column == column else registry.held("sheet", game, Sheet)[1]


def _agree(first: Column, file: str, second: Column, other: str) -> None:
    if first != second:
        raise Clash(
            f"two metrics are called {first.name!r}, one of {file}, one of {other}: one of them needs another name"
        )
