"""The one door to somebody's part in the process that runs the command: its file imported, it built, loaded or asked.

In a worker a part may do what it likes, for a worker can be replaced. Here nothing of what it does may reach what comes
after it: an error of any type comes out as one that names it, the process has its settings again, and a copy of the
process that it made (`os.fork`) ends where it would come back. Not contained: what a part does to modules and objects
that it shares with others, processes and threads that it starts, and the time that it takes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import NoReturn

from invbench.core.errors import Interrupted, in_words
from invbench.core.process import builtins_kept, of_process
from invbench.core.streams import words_only


class PartRaised(Exception):
    """`error` is what a part raised, of whatever type: SystemExit and KeyboardInterrupt are errors like any other."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {in_words(error)}")
        self.error = error


_leave = os._exit
_at_it = set[int]()
"""The process, while a part has its turn in it."""


class theirs:  # noqa: N801  it reads as a word: `with theirs():`
    """Somebody's part has its turn inside the block. Out of it come the errors that are `meant` as its answer,
    `Interrupted`, which is the user's, and else `PartRaised`. Inside another such block it tells errors, no more; nor
    where nobody has to be `guarded` against."""

    def __init__(self, *meant: type[Exception], guarded: bool = True) -> None:
        self.meant = (Interrupted, PartRaised, *meant)
        self.guarded = guarded

    def __enter__(self) -> None:
        self.process = os.getpid()
        self.outermost = self.guarded and self.process not in _at_it
        if self.outermost:
            self.put_builtins_back = builtins_kept()
            self.settings = [(setting, setting.read()) for setting in of_process()]
            self.inside = ExitStack()
            self.inside.enter_context(words_only())
            self.inside.enter_context(_no_silent_end())
            _at_it.add(self.process)

    def __exit__(self, type_: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.outermost:
            self.put_builtins_back()  # first of all: what follows calls them
        if os.getpid() != self.process:
            _leave(0)  # a copy of the process that the part has made
        if self.outermost:
            _at_it.discard(self.process)
            self.inside.close()
            for setting, before in self.settings:
                # Whoever interrupts sets these himself, for a second time.
                if not (isinstance(error, Interrupted) and setting.name.startswith("handler of ")):
                    setting.lost(before)
        if error is not None and not isinstance(error, self.meant):
            raise PartRaised(error) from error


@contextmanager
def _no_silent_end() -> Iterator[None]:
    """Inside the block nobody can end this process at once with exit code 0, which would say that all is well."""
    process = os.getpid()

    def leave(code: int) -> NoReturn:
        if code == 0 and os.getpid() == process:
            raise SystemExit(code)
        _leave(code)

    os._exit = leave  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = _leave
