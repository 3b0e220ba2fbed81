"""How the command line ends: by an interrupt, by a second one, or of itself."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

from invbench.console.at_once import end_at_once
from invbench.core.errors import Interrupted


def heed_interrupts() -> None:
    """Let Ctrl-C and SIGTERM end the command in order (`Interrupted`), and a second one at once, without a word.

    At once is safe: what is written is whole at any moment, and workers end with this process.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # a shell's background job is deaf to the keyboard
            signal.signal(number, _interrupt)


def leave(code: int) -> NoReturn:
    """End the process with this exit code; whoever interrupts its last moments ends it at once."""
    end_at_once(code=code)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    sys.exit(code)


def _interrupt(*_: object) -> NoReturn:
    end_at_once()
    raise Interrupted
