"""What a user is told with exit code 2; that an end was asked for; and what an error of somebody's part says."""

from __future__ import annotations

import traceback

_MOST_WORDS = 1000  # characters: a reason stands in tables
_MOST_TRACE = 50_000  # characters of a traceback's end, where the cause is


class Refusal(Exception):
    """The message says what is wrong, where, and where there is one the nearest right name."""


class Interrupted(KeyboardInterrupt):
    """The user or the system asks for an end. Raised by the command line's own handlers alone: a KeyboardInterrupt that
    a part raises is an error of that part."""


def in_words(error: BaseException) -> str:
    """What an error says, on one line; nothing where it cannot even say that."""
    try:
        words = " ".join(str(error).split())
    except Interrupted:
        raise
    except BaseException:  # somebody's own __str__
        return ""
    return sound(words if len(words) <= _MOST_WORDS else words[: _MOST_WORDS - 4] + " ...")


def trace_of(error: BaseException) -> str:
    """An error's traceback, its end where it is very long."""
    try:
        lines = traceback.format_exception(error)
    except Interrupted:
        raise
    except BaseException:  # somebody's own error, which cannot be told
        lines = [*traceback.format_tb(error.__traceback__), f"{type(error).__name__}\n"]
    return sound("".join(lines)[-_MOST_TRACE:])


def sound(text: str) -> str:
    """The text with halves of surrogate pairs, which no file can hold, written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
