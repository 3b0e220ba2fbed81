"""A terminal for tables and live displays, to which words are words: no markup, and nothing that it would obey."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from invbench.core.digits import whole
from invbench.core.printing import printable

_SIZES = ("COLUMNS", "LINES", "JUPYTER_COLUMNS", "JUPYTER_LINES")
_WIDEST = 9999  # columns or lines; no screen has more, and every line is padded to it


class Terminal(Console):
    """Rich's console behind the same door as `say`: whatever is printed, every piece of text passes `printable`.

    Rich's own control sequences, colours and cursor moves, are no text and pass.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, _environ=_surroundings())

    def render_str(self, text: str, **how: Any) -> Text:
        """A string as it will be shown, so that its width is measured as shown."""
        return super().render_str(printable(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Every piece of text and every control sequence of a renderable."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)


def _surroundings() -> dict[str, str]:
    """The environment without sizes that are none: Rich takes `²` for a number, and reads thousands of digits."""
    odd = {name for name in _SIZES if (whole(os.environ.get(name, "")) or _WIDEST + 1) > _WIDEST}
    return {name: value for name, value in os.environ.items() if name not in odd}


def table(*columns: str) -> Table:
    """A table without lines whose long cells fold."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made
