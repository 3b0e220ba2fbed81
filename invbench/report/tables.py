"""GitHub-flavoured Markdown: tables that line up, and text that cannot break them: the one door to a page."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from invbench.core.printing import one_line

# Signs that mean something in a line of Markdown; brackets without an address and batch_size's underscore do not.
_SPECIAL = re.compile(r"[\\`*|~]|\](?=\()|(?<![^\W_])_|_(?![^\W_])|^#")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    """A Markdown table whose columns line up; the columns numbered in `right` are set to the right.

    Cells hold Markdown in which every `|` is escaped already (by `text` or `code`). ValueError for a row
    of another length than the header.
    """
    lengths = {len(row) for row in rows} - {len(header)}
    if lengths:
        raise ValueError(f"a row of {lengths.pop()} cells under a header of {len(header)}")
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(header, *rows, strict=True)]
    rule = [("-" * (w - 1) + ":") if k in right else "-" * w for k, w in enumerate(widths)]

    def line(cells: Sequence[str]) -> str:
        padded = (c.rjust(w) if k in right else c.ljust(w) for k, (c, w) in enumerate(zip(cells, widths, strict=True)))
        return f"| {' | '.join(padded)} |"

    return "\n".join([line(header), line(rule), *map(line, rows)])


def facts(pairs: Mapping[str, Any]) -> str:
    """A table of what and value; nested ones by their dotted path (`attack.tv`), None left out."""
    rows = [[text(key), text(value)] for key, value in _flat(pairs).items() if value is not None]
    return table(["what", "value"], rows)


def text(words: object) -> str:
    """Words on one line that print as they are: Markdown's own signs and HTML escaped."""
    line = one_line(words).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\g<0>", line)


def code(words: object) -> str:
    """A name as a code span, in which only backticks and `|` need care; as text where no span can hold it."""
    line = one_line(words)
    if not line or "\\|" in line:
        return text(line)
    line = line.replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{line}{space}{fence}"


def address(*parts: str | PurePath) -> str:
    """A relative path as the target of a link: forward slashes, everything else percent-encoded."""
    return quote(os.fsencode(Path(*parts).as_posix()))  # names in other encodings, too


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Nested mappings, and lists that hold some, as leaves by path; lists of plain values stay whole."""
    if isinstance(value, Mapping):
        items = [(f"{path}.{key}" if path else str(key), child) for key, child in value.items()]
    elif isinstance(value, list) and any(isinstance(child, Mapping) for child in value):
        items = [(f"{path}[{place}]", child) for place, child in enumerate(value)]
    else:
        return {path: value}
    return {key: leaf for at, child in items for key, leaf in _flat(child, at).items()}
