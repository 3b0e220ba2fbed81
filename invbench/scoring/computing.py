"""Every metric of a game, computed from what the game hands over by name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from invbench.sheets import metric_of, sheet_of


def computed(game: str, offered: Mapping[str, object]) -> dict[str, list[float | None]]:
    """Metric to one value an item, None for NaN; a metric that needs what is not offered is left out.

    ValueError where a metric does not give one number for each item, or items differ in number between metrics.
    """
    found: dict[str, list[float | None]] = {}
    for column in sheet_of(game).columns:
        metric = metric_of(column.name)
        if metric is None or metric.values is None or not offered.keys() >= set(metric.inputs):
            continue
        values = np.asarray(metric.values(*(_own(offered[name]) for name in metric.inputs)), dtype=np.float64)
        count = len(next(iter(found.values()), values))
        if values.shape != (count,):
            raise ValueError(f"metric {column.name} must give {count} values, one an item, not shape {values.shape}")
        found[column.name] = [None if np.isnan(value) else float(value) for value in values]
    return found


def _own(value: object) -> object:
    """A copy of an array, in its own layout: what one metric does to it, the next does not see."""
    return np.copy(value, order="K") if isinstance(value, np.ndarray) else value
