"""What a user is told with exit code 2: words, a matrix or a file that cannot be used."""

from __future__ import annotations


class Refusal(Exception):
    """The message says what is wrong, where, and where there is one the nearest right name."""
