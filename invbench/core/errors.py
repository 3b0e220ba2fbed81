"""What a user is told with exit code 2: words, a matrix or a file that cannot be used."""

from __future__ import annotations


def in_words(error: BaseException) -> str:
    """What an error says, on one line; nothing where it cannot even say that."""
    try:
        return " ".join(str(error).split())
    except Exception:  # somebody's own __str__
        return ""


class Refusal(Exception):
    """The message says what is wrong, where, and where there is one the nearest right name."""
