"""A CSV file to columns of text: read whole, checked row by row; what is wrong is told with its line."""

from __future__ import annotations

import csv
from pathlib import Path

from invbench.core.parameters import nearest_name
from invbench.data import BadData

MOST_BYTES = 256 << 20
"""Of a file: every worker holds its cells as Python's own objects, some ten times as large."""
EMPTY = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL"})
"""What stands in a cell that is empty."""


def read_columns(file: Path) -> dict[str, list[str]]:
    """Column to its cells as text, stripped of spaces, an empty cell as ''; BadData where it is no table."""
    if (size := file.stat().st_size) > MOST_BYTES:
        raise BadData(f"{file}: has {size >> 20} MiB; at most {MOST_BYTES >> 20}: keep the rows that are needed")
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines, strict=True)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{file}: is not a CSV file ({error})") from None
    if not rows:
        raise BadData(f"{file}: is empty")
    (_, header), body = rows[0], rows[1:]
    _check(file, header, body)
    return {name: [_text(row[k]) for _, row in body] for k, name in enumerate(header)}


def no_column(file: Path, name: str, there: list[str], what: str) -> BadData:
    """That a column is not there, with the nearest one, or all of them."""
    near = nearest_name(name, there)
    words = f"nearest: {near!r}" if near else f"it has {', '.join(map(repr, there))}"
    return BadData(f"{file}: has no column {name!r} ({what}); {words}")


def _check(file: Path, header: list[str], body: list[tuple[int, list[str]]]) -> None:
    if len(header) < 2:
        raise BadData(f"{file}: is not a CSV file of people: its first line, the columns' names, has one cell alone")
    for name in header:
        if not name or not name.isprintable():
            raise BadData(f"{file}: a column's name must be printable words, not {name!r}")
        if header.count(name) > 1:
            raise BadData(f"{file}: two columns are called {name!r}")
    for line, row in body:
        if len(row) != len(header):
            raise BadData(f"{file}:{line}: has {len(row)} cells; the columns are {len(header)}")


def _text(cell: str) -> str:
    return "" if cell in EMPTY else cell
