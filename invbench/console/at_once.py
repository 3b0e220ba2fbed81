"""Ending by a signal at once. It is imported before anything else, and imports next to nothing itself."""

from __future__ import annotations

import os
import signal

INTERRUPTED = 130


def end_at_once(*, code: int = INTERRUPTED, words: bytes = b"") -> None:
    """Let Ctrl-C and SIGTERM end the process with this exit code and these words on standard error."""

    def end(*_: object) -> None:
        try:
            # A live display has hidden the cursor.
            os.write(2, words or (b"\x1b[?25h\n" if os.isatty(2) else b""))
        finally:
            os._exit(code)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # a shell's background job is deaf to the keyboard
            signal.signal(number, end)
