"""Records as reports read them: what varies between the matrix's cells is said of all, at its default too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from invbench.core.names import Defaults, told
from invbench.store import Record, Results


def each_told(results: Results, settings: bool = False) -> Iterator[Record]:
    """The records of the cells planned and computed, as `Results.each_record`, with what varies said."""
    defaults = results.defaults()
    every = results.each_record(settings)
    known = dict[Any, Any]()
    return (told_record(record, defaults, known) for record in every) if defaults else every


def told_record(record: Record, defaults: Defaults, known: dict[Any, Any] | None = None) -> Record:
    """The record with its names, and its settings where it has them, saying these defaults, too (`known`: `told`)."""
    if not defaults:
        return record
    settings = {axis: _told(part, defaults.get(axis, {})) for axis, part in record.settings.items()}
    return replace(record, names=told(record.names, defaults, known), settings=settings)


def _told(part: Any, defaults: Mapping[str, Mapping[str, Any]]) -> Any:
    """A part of a record's settings, or a stack of them, with the defaults that it lacks."""
    if isinstance(part, list):
        return [_told(one, defaults) for one in part]
    if not isinstance(part, dict):
        return part
    name = f"{part.get('name')}/{part['variant']}" if "variant" in part else str(part.get("name"))
    lacking = {key: value for key, value in defaults.get(name, {}).items() if key not in part}
    return part | lacking
