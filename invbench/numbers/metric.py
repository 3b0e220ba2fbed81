"""A metric as its file holds it: its column, whose it is, and how it is computed from what the game hands it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from invbench.core.typed import must_be_typed
from invbench.numbers.columns import Column


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What `invbench/metrics/NAME.py`, or the module of an entry point `metrics.NAME`, holds as `METRIC`.

    `games`: the games it is measured in. `inputs`: what it takes of what the game hands over, by name and in order;
    a control that does not hand over all of them is left without it. `values`: called with them, gives one value an
    item, NaN where it has none. None: the column is a statistic of scores that the game stores anyway.

    Reports read the column, so the file must not import torch; `values` may, when called.
    """

    column: Column
    games: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    values: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        must_be_typed(self)
