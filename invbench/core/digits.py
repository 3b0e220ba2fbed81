"""Whole numbers in somebody's text."""

from __future__ import annotations

MOST_DIGITS = 18
"""Always within 64 bits. Python itself refuses to read thousands of digits, by an error that is no refusal."""


def whole(digits: str) -> int | None:
    """The number that decimal digits make, None where they are none or more than any count here has."""
    return int(digits) if digits.isdecimal() and len(digits) <= MOST_DIGITS else None
