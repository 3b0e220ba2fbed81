"""What the marks and numbers of a frontier's picture mean, as lines of words below it: pictures travel alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from invbench.core.printing import one_line
from invbench.report.frontier import Frontier

MOST_NAMES = 20
"""Defences that the picture names; of more only the table does."""


def key_lines(frontier: Frontier, fits: Callable[[str], bool]) -> list[str]:
    """The marks that the picture has, then the names of its numbers; `fits`: whether a line is short enough."""
    points = frontier.points
    marks = ["square: no defence"] if frontier.bare is not None else []
    marks += ["full: nothing here beats it on both", "lines: 95 % intervals"]
    if any(point.limit is not None for point in points):
        marks.append("short bar: limit of any attack of a kind")
    if frontier.control is not None:
        marks.append(f"broken line: reads nothing (control {one_line(frontier.control.name)})")
    if len(points) > MOST_NAMES:
        return _filled([*marks, "numbers: rows of the table"], fits)
    return _filled(marks, fits) + _filled([f"{point.number} {one_line(point.label)}" for point in points], fits)


def _filled(parts: Iterable[str], fits: Callable[[str], bool]) -> list[str]:
    """The parts on as few lines as they need; a part that is too long for one has one of its own."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]};  {part}" if lines else part
        if lines and fits(longer):
            lines[-1] = longer
        else:
            lines.append(part)
    return lines
