"""What is wrong with a matrix: gathered while reading, raised all at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from invbench.core.errors import Refusal
from invbench.matrix.source.nodes import Complaint, Place

_LONGEST = 400  # characters of a message
MOST_TOLD = 50
"""Mistakes told of a matrix; how many more there are is counted. Nobody mends more at a time."""


@dataclass(frozen=True)
class MatrixError:
    """One mistake. `line` and `column` count from 1; None where `file` stands for `--set KEY=VALUE`."""

    file: str
    line: int | None
    column: int | None
    message: str
    nearest: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        hint = f"; nearest: {self.nearest!r}" if self.nearest is not None else ""
        return f"{place}: {self.message}{hint}"


class MatrixErrors(Refusal):
    """Every mistake of a matrix, in the order of the file, those of `--set` last; the message tells the first ones."""

    def __init__(self, errors: Iterable[MatrixError]) -> None:
        self.errors = tuple(sorted(dict.fromkeys(errors), key=_position))
        told = [str(error) for error in self.errors[:MOST_TOLD]]
        if (more := len(self.errors) - MOST_TOLD) > 0:
            told.append(f"... and {more:,} more")
        super().__init__("\n".join(told))


class Errors:
    """The mistakes found so far."""

    def __init__(self) -> None:
        self.found: list[MatrixError] = []
        self._unread: set[Place] = set()

    def add(self, place: Place, message: str, nearest: str | None = None) -> None:
        """Note a mistake, unless what stands there could not be read and was complained of already."""
        if place in self._unread:
            return
        short = message if len(message) <= _LONGEST else message[:_LONGEST] + "..."
        self.found.append(MatrixError(place.file, place.line, place.column, short, nearest))

    def add_unread(self, complaints: Sequence[Complaint]) -> None:
        """Note what the YAML reader could not read."""
        for complaint in complaints:
            self.add(complaint.place, complaint.message)
        self._unread.update(complaint.place for complaint in complaints)

    def check(self) -> None:
        """Raise MatrixErrors if anything was found."""
        if self.found:
            raise MatrixErrors(self.found)


def _position(error: MatrixError) -> tuple[bool, int, int]:
    return error.line is None, error.line or 0, error.column or 0
