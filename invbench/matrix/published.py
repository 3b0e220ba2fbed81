"""The matrix's key `published`: what papers report, beside the cells that ask the same question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from invbench.cell import Cell, Choice, defense_name
from invbench.core.parameters import nearest_name
from invbench.matrix.choices import Reader
from invbench.matrix.errors import Errors
from invbench.matrix.excluding import Wanted, agrees, read_wanted
from invbench.matrix.source.nodes import Entry, Items, Node, Place, Table, plain, show
from invbench.matrix.values import EXCLUDE_KEYS, refuse_unknown
from invbench.published import Published, Value
from invbench.sheets import sheet_of

WORDS = ("metric", "source", "differs")
KEYS = ("cells", "metric", "value", "source", "differs")
MOST_MET = 10_000
"""Cells that all entries meet together: the results folder's plan, whose size is bounded, holds their ids."""

MOST_TOLD = 6
"""Values of an axis that a refusal names where none is near."""


@dataclass(frozen=True)
class Claim:
    """An entry whose cells are not looked for yet. `wanted`: what each axis named must be, and where that stands."""

    said: Published
    wanted: Mapping[str, tuple[Place, Wanted]]
    place: Place
    places: Mapping[str, Place]  # of the values, by key

    def meets(self, cell: Cell) -> bool:
        return all(agrees(getattr(cell, axis), wanted) for axis, (_, wanted) in self.wanted.items())


def read_published(entry: Entry | None, reader: Reader) -> list[Claim]:
    """The entries under the key without those in which something is wrong, which is noted; none where it is absent."""
    if entry is None:
        return []
    items = entry.value.items if isinstance(entry.value, Items) else (entry.value,)
    claims = [_read_claim(item, reader) for item in items]
    return [claim for claim in claims if claim is not None]


def published_of(claims: Sequence[Claim], cells: Sequence[Cell], errors: Errors) -> tuple[Published, ...]:
    """Each entry with the cells that it meets; noted is one that meets none, or whose metric is not theirs."""
    found = []
    for claim in claims:
        met = [cell for cell in cells if claim.meets(cell)]
        if not met:
            _note_none_met(claim, cells, errors)
        for game in dict.fromkeys(cell.game for cell in met):
            _note_wrong_metric(claim, game, errors)
        found.append(replace(claim.said, cells=tuple(cell.id for cell in met)))
    if (many := sum(len(one.cells) for one in found)) > MOST_MET:
        errors.add(claims[0].place, f"published numbers meet {many:,} cells; at most {MOST_MET:,}: name more axes")
    return tuple(found)


def _read_claim(node: Node, reader: Reader) -> Claim | None:
    errors = reader.errors
    if not isinstance(node, Table):
        errors.add(node.place, f"published holds mappings with {', '.join(KEYS)}, not {show(plain(node))}")
        return None
    refuse_unknown(node, KEYS, "a published number", errors)
    given = {key: entry.value for key, entry in node.entries.items()}
    lacking = [key for key in KEYS if key not in given]
    for key in lacking:
        errors.add(node.place, f"a published number lacks {key!r}")
    wanted = _read_cells(given["cells"], reader) if "cells" in given else None
    value = _read_value(given["value"], errors) if "value" in given else None
    words = {key: _read_words(key, given[key], errors) for key in WORDS if key in given}
    if lacking or wanted is None or value is None or None in words.values():
        return None
    metric, source, differs = (str(words[key]) for key in WORDS)
    said = Published(metric=metric, value=value, source=source, differs=differs)
    return Claim(said, wanted, node.place, {key: value.place for key, value in given.items()})


def _read_cells(node: Node, reader: Reader) -> dict[str, tuple[Place, Wanted]] | None:
    """What `cells` asks of each axis, as `exclude` does; None where something is wrong with it."""
    if not isinstance(node, Table) or not node.entries:
        what = "an empty one" if isinstance(node, Table) else show(plain(node))
        reader.errors.add(node.place, f"cells must be a mapping of axes, such as {{attack: dlg}}, not {what}")
        return None
    refuse_unknown(node, EXCLUDE_KEYS, "cells", reader.errors)
    known = {key: entry.value for key, entry in node.entries.items() if key in EXCLUDE_KEYS}
    every = {key: (value.place, read_wanted(key, value, reader)) for key, value in known.items()}
    wanted = {key: (place, value) for key, (place, value) in every.items() if value is not None}
    return wanted if len(wanted) == len(node.entries) else None


def _read_words(key: str, node: Node, errors: Errors) -> str | None:
    said = plain(node)
    if isinstance(said, str) and said.strip():
        return said
    errors.add(node.place, f"{key} must be words, not {'nothing' if isinstance(said, str) else show(said)}")
    return None


def _read_value(node: Node, errors: Errors) -> Value | None:
    said = plain(node)
    if _is_number(said) or (isinstance(said, str) and said.strip()):
        return said
    if isinstance(said, list) and len(said) == 2:
        low, high = said
        if _is_number(low) and _is_number(high) and low <= high:
            return low, high
    errors.add(node.place, "value must be a number, a range [LOW, HIGH] or words")
    return None


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _note_none_met(claim: Claim, cells: Sequence[Cell], errors: Errors) -> None:
    """Say at which axis no cell agrees, with the nearest name that cells have there."""
    alone = {
        axis: (place, wanted)
        for axis, (place, wanted) in claim.wanted.items()
        if not any(agrees(getattr(cell, axis), wanted) for cell in cells)
    }
    for axis, (place, wanted) in alone.items():
        there = list(dict.fromkeys(_shown(getattr(cell, axis)) for cell in cells))
        near = nearest_name(_written(wanted), there)
        known = "" if near else f"; there is {', '.join(there[:MOST_TOLD])}"
        errors.add(place, f"no cell of this matrix has this {axis}{known}", near)
    if not alone:
        errors.add(claim.place, "no cell of this matrix agrees with all axes of this published number")


def _shown(value: Any) -> str:
    """A cell's value of an axis as tables print it."""
    if isinstance(value, Choice):
        return value.short
    return str(defense_name(value) if isinstance(value, tuple) else value)


def _written(wanted: Wanted) -> str:
    """What is wanted, in the same form."""
    if isinstance(wanted, int):
        return str(wanted)
    patterns = wanted if isinstance(wanted, tuple) else (wanted,)
    said = [(one.name, ",".join(f"{key}={value}" for key, value in one.settings)) for one in patterns]
    return "+".join(f"{name}({settings})" if settings else name for name, settings in said) or "none"


def _note_wrong_metric(claim: Claim, game: str, errors: Errors) -> None:
    """Note a metric that the game has not, and a number that the metric cannot be."""
    sheet, metric = sheet_of(game), claim.said.metric
    if sheet.plain is not None:
        return  # nothing installed says what its metrics are
    if metric not in sheet.by_name:
        near = nearest_name(metric, sheet.by_name)
        there = "" if near else f"; its metrics are {', '.join(sheet.by_name)}"
        errors.add(claim.places["metric"], f"game {game} has no metric {metric!r}{there}", near)
        return
    least, most = sheet.column(metric).bounds
    for number in claim.said.numbers:
        if (least is not None and number < least) or (most is not None and number > most):
            ends = [f"at least {least:g}" if least is not None else "", f"at most {most:g}" if most is not None else ""]
            errors.add(claim.places["value"], f"{metric} is {', '.join(filter(None, ends))}, not {number:g}")
