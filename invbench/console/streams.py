"""Standard output and error that never raise: in another encoding, closed, or full."""

from __future__ import annotations

import errno
import io
import os
import sys
from dataclasses import dataclass
from typing import Any, TextIO, cast


class _Patient(io.RawIOBase):
    """Writes to a file descriptor until that fails, and drops everything from then on."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.failed: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.number

    def isatty(self) -> bool:
        return os.isatty(self.number)

    def write(self, data: bytes) -> int:  # type: ignore[override]  # of anything that has bytes
        if self.failed is None:
            try:
                return os.write(self.number, data)
            except OSError as error:
                self.failed = error
        return len(memoryview(data).cast("B"))


@dataclass(frozen=True)
class Streams:
    """The two streams of this process."""

    output: _Patient

    def lost(self) -> str:
        """Why something printed is lost; empty where nothing is, and where its reader has left, as `head` does."""
        sys.stdout.flush()
        failed = self.output.failed
        return "" if failed is None or failed.errno == errno.EPIPE else failed.strerror or "it failed"


def patient_streams() -> Streams:
    """Make standard output and error such streams. What their encoding cannot say is written as an escape.

    A command goes on where nobody reads it any more: a run is not lost with its terminal.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file to be opened would get its number, and with it what is printed
            os.open(os.devnull, os.O_RDWR)
    output = _Patient(1)
    sys.stdout = _text(output, sys.stdout)
    sys.stderr = _text(_Patient(2), sys.stderr)
    return Streams(output)


def _text(raw: _Patient, before: TextIO | None) -> io.TextIOWrapper:
    encoding = before.encoding if before is not None else "utf-8"
    buffered: Any = io.BufferedWriter(cast(Any, raw))
    return io.TextIOWrapper(buffered, encoding=encoding, errors="backslashreplace", line_buffering=True)
