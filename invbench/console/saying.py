"""The one door to standard output and standard error: what passes it is words, and nothing that a terminal obeys."""

from __future__ import annotations

import warnings
from io import StringIO

import click

from invbench.core.printing import one_line, printable


def say(words: object, *, err: bool = False, end: str = "\n") -> None:
    """Print words on standard output, or (`err`) on standard error."""
    click.echo(f"{printable(words)}{end}", err=err, nl=False)


def say_refusal(error: click.ClickException) -> None:
    """Print what is wrong with words of the command line; click repeats them as they were given."""
    text = StringIO()
    error.show(text)
    say(text.getvalue(), err=True, end="")


def say_warnings() -> None:
    """Have Python's warnings pass through here, too: they name what plug-ins say of themselves."""
    warnings.showwarning = _say_warning


def _say_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: object = None,
) -> None:
    say(f"warning: {one_line(message)} ({filename}:{lineno})", err=True)
