"""A terminal for tables and live displays, to which words are words: no markup, and nothing that it would obey."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from invbench.core.printing import printable


class Terminal(Console):
    """Rich's console behind the same door as `say`: whatever is printed, every piece of text passes `printable`.

    Rich's own control sequences, colours and cursor moves, are no text and pass.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **how: Any) -> Text:
        """A string as it will be shown, so that its width is measured as shown."""
        return super().render_str(printable(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Every piece of text and every control sequence of a renderable."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)


def table(*columns: str) -> Table:
    """A table without lines whose long cells fold."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made
