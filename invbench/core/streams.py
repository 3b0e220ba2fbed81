"""Standard output and error as somebody's part gets them: what it prints is shown as words and nothing else.

What passes `sys.stdout` and `sys.stderr` (and their `buffer`) comes here. What C code writes to the descriptors 1 and
2, and what processes write that a part starts, does not.
"""

from __future__ import annotations

import io
import sys
from codecs import getincrementaldecoder
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from invbench.core.printing import printable


def give_words_only() -> None:
    """Let whatever this process prints from here on be words only."""
    sys.stdout, sys.stderr = _words(sys.stdout), _words(sys.stderr)


@contextmanager
def words_only() -> Iterator[None]:
    """The same inside the block."""
    before = sys.stdout, sys.stderr
    give_words_only()
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # it may be the part's own by now
                stream.flush()
        sys.stdout, sys.stderr = before


def _words(stream: TextIO | None) -> TextIO:
    buffered = _Buffered(cast(Any, _Raw(stream)))
    return _Words(buffered, encoding="utf-8", errors="backslashreplace", line_buffering=True)


class _Raw(io.RawIOBase):
    """Hands on words to another stream. Nothing that goes wrong there is the writer's fault, so it is not told."""

    def __init__(self, under: TextIO | None) -> None:
        self.under = under
        self.decoder = getincrementaldecoder("utf-8")("backslashreplace")

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        if self.under is None:
            raise io.UnsupportedOperation("there is no standard output")
        return self.under.fileno()

    def write(self, data: bytes) -> int:  # type: ignore[override]  # of anything that has bytes
        words = printable(self.decoder.decode(bytes(data)))
        with suppress(OSError, ValueError):  # its reader has left, or it is closed
            if self.under is not None:
                self.under.write(words)
                self.under.flush()
        return len(memoryview(data).cast("B"))


class _Buffered(io.BufferedWriter):
    """Stays open: what comes after a part that closes it prints here, too."""

    def close(self) -> None:
        self.flush()


class _Words(io.TextIOWrapper):
    """Stays open, and keeps its buffer, for the same reason."""

    def close(self) -> None:
        self.flush()

    def detach(self) -> io.BufferedWriter:
        self.flush()
        return cast(io.BufferedWriter, self.buffer)
