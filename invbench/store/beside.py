"""The note by which a record says that a control runs beside its attack, whatever a matrix asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NOTE = re.compile(r"its pictures may be of its own making: the control (\S+) always runs beside it")


def always_beside(control: str) -> str:
    """The note of a cell whose attack is marked with this control."""
    return _NOTE.pattern.replace(r"(\S+)", control)


def beside(notes: Iterable[str]) -> tuple[str, ...]:
    """The controls that these notes name."""
    return tuple(found[1] for found in map(_NOTE.fullmatch, notes) if found)
