"""What `plan.json` holds beside the cells, so that a report needs the results folder alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from invbench.core.names import Defaults
from invbench.numbers.columns import UNSHOWN
from invbench.published import Published
from invbench.store.cells import CELL_ID
from invbench.store.files import StoreError


def to_plan(published: Sequence[Published]) -> list[dict[str, Any]]:
    """What papers report, in JSON form and in the matrix's order."""
    return [asdict(one) for one in published]


def published_in(plain: Any, path: Path) -> tuple[Published, ...]:
    """What a plan's `published` holds; StoreError, naming the plan's `path`, where `to_plan` did not write it."""
    try:
        found = msgspec.convert(plain, tuple[Published, ...])
    except msgspec.ValidationError as error:
        raise StoreError(f"{path}: its 'published' is not a plan of invbench: {error}") from error
    for one in found:
        shown = one.metric.isprintable() and not UNSHOWN.search(one.metric)
        if not shown or not all(map(math.isfinite, one.numbers)) or not all(map(CELL_ID.fullmatch, one.cells)):
            raise StoreError(f"{path}: its 'published' is not a plan of invbench")
    return found


def defaults_in(plain: Any, path: Path) -> Defaults:
    """The defaults that tables say; StoreError, naming the plan's `path`, where they are none."""
    try:
        return msgspec.convert(plain, dict[str, dict[str, dict[str, bool | float | int | str | list[Any] | None]]])
    except msgspec.ValidationError as error:
        raise StoreError(f"{path}: its 'defaults' are not a plan of invbench: {error}") from error
