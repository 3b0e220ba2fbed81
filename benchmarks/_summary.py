"""Means over targets and their intervals, of samples that are there."""

from __future__ import annotations

from collections.abc import Sequence

from invbench.numbers.statistics import Summary, summarise


def summary(values: Sequence[Sequence[float]]) -> Summary:
    """Of each target's values; there is at least one."""
    found = summarise([list(of_target) for of_target in values])
    assert found is not None
    return found
