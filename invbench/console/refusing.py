"""How a command ends that is refused, or was interrupted: a message on standard error and an exit code."""

from __future__ import annotations

import os
from typing import IO, Any

import click

from invbench.console.at_once import INTERRUPTED
from invbench.console.saying import say
from invbench.core.errors import Interrupted, Refusal

WRONG = 2


class Refused(click.ClickException):
    """Words, a matrix or a file that are wrong: the message, and exit code 2."""

    exit_code = WRONG

    def show(self, file: IO[Any] | None = None) -> None:
        if file is None:
            say(self.message, err=True)
        else:
            file.write(f"{self.message}\n")


class Stopped(Refused):
    """An end that was asked for: what that means for the command at hand, and exit code 130."""

    exit_code = INTERRUPTED


class Commands(click.Group):
    """Commands of which whatever refuses words or files, wherever it found out, is a message and exit code 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            os.getcwd()
        except OSError as error:
            raise Refused(f"the working folder cannot be used: {error.strerror}; go to one that is there") from None
        try:
            return super().invoke(ctx)
        except Refusal as error:
            nearest = getattr(error, "nearest", None)
            raise Refused(f"{error}; nearest: {nearest!r}" if nearest else str(error)) from None
        except Interrupted as end:
            raise Stopped(f"interrupted: {end}" if str(end) else "interrupted") from None
