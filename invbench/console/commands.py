"""What every command shares: words that are refused end as a message and exit code 2, and kinds of parts have names."""

from __future__ import annotations

from typing import IO

import click

from invbench.core.errors import Refusal

WRONG = 2
KINDS = ("attacks", "models", "defenses", "datasets", "protocols", "metrics", "games")


class Kind(click.Choice):  # type: ignore[type-arg]  # generic only since click 8.2
    """One of KINDS; the singular is as good."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kind: str = super().convert(f"{value}s" if f"{value}s" in KINDS else value, param, ctx)
        return kind


class Refused(click.ClickException):
    """Words, a matrix or a file that are wrong: the message, and exit code 2."""

    exit_code = WRONG

    def show(self, file: IO[str] | None = None) -> None:
        click.echo(self.message, err=True)


class Commands(click.Group):
    """Commands of which whatever refuses words or files, wherever it found out, is a message and exit code 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except Refusal as error:
            nearest = getattr(error, "nearest", None)
            raise Refused(f"{error}; nearest: {nearest!r}" if nearest else str(error)) from None
