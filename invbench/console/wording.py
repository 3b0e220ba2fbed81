"""Short words for numbers and cells, the same in every table of the terminal."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable
from types import MappingProxyType

from invbench.cell import Cell
from invbench.core.names import Defaults, told
from invbench.matrix.blocks import default_protocol
from invbench.matrix.varying import defaults_that_vary
from invbench.numbers.columns import Column
from invbench.numbers.statistics import summarise
from invbench.numbers.whole_cell import has_inputs, value
from invbench.report.naming import Names, labels, line, varying
from invbench.sheets import sheet_of
from invbench.store import Record, Scores

_USUAL = ("attack", "model", "batch_size", "defense")
_TOLD_APART = ("protocol", "dataset", "seed")


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def count(number: int, noun: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def cells_of_games(cells: Iterable[Cell]) -> str:
    """`4 cells of game membership`; of several games `5 cells (3 of game update, 2 of game membership)`."""
    games = Counter(cell.game for cell in cells)
    if len(games) < 2:
        return " of game ".join([count(games.total(), "cell"), *games])
    return f"{games.total()} cells ({', '.join(f'{number} of game {game}' for game, number in games.items())})"


def folded(words: str, width: int, indent: str = "") -> str:
    """A line broken between words (never within one, nor at a hyphen) where it is longer than `width` columns; what
    follows begins with `indent`."""
    lines = textwrap.wrap(
        words, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )
    return "\n".join(lines) if lines else words


def broken(words: str, width: int) -> str:
    """Words in lines of at most `width` columns, broken at blanks, and after `_ - , + ( =` where one alone has more;
    never within what stands between those."""
    lines = [""]
    for word in words.split():
        pieces = [word] if len(word) <= width else re.findall(r"[^_,+(=-]*[_,+(=-]+|[^_,+(=-]+", word)
        for number, piece in enumerate(pieces):
            blank = " " if number == 0 and lines[-1] else ""
            if lines[-1] and len(f"{lines[-1]}{blank}{piece}") > width:
                lines.append(piece)
            else:
                lines[-1] += f"{blank}{piece}"
    return "\n".join(lines)


class Namer:
    """How to call each of these cells in a line: `dlg lenet b1 none`.

    `also`: axes beside attack, model, batch size and defence that belong to the full name. `defaults`: those that are
    said, since other cells have another value of the setting.
    """

    def __init__(self, every: Iterable[Names], also: Iterable[str], defaults: Defaults = MappingProxyType({})) -> None:
        self.defaults = defaults
        listed = [told(names, defaults) for names in every]
        self.axes = [*_USUAL, *also]
        self.labels = {axis: labels(names.get(axis) for names in listed) for axis in self.axes}
        self.differing = varying(listed, self.axes) or ["attack"]

    def __call__(self, names: Names, room: int | None = None) -> str:
        """The longest of three that `room` columns hold: the whole name; without the settings that cells share; of
        the axes in which cells differ alone. The last, where none fits: what tells cells apart is never cut.
        """
        names = told(names, self.defaults)
        whole = line(names, self.axes)
        if room is None or len(whole) <= room:
            return whole
        unshared = line(names, self.axes, self.labels)
        return unshared if len(unshared) <= room else line(names, self.differing, self.labels)


def cell_namer(cells: Iterable[Cell]) -> Namer:
    """How to call each of these cells: a protocol that is not its game's usual one is named, and what else it takes to
    tell them apart."""
    every = list(cells)
    protocols = {(cell.game, cell.protocol): cell.attack for cell in every}
    unusual = any(protocol != default_protocol(attack) for (_, protocol), attack in protocols.items())
    names = [cell.names for cell in every]
    apart = told_apart(names)
    also = [axis for axis in _TOLD_APART if axis in apart or (axis == "protocol" and unusual)]
    return Namer(names, also, defaults_that_vary(every))


def told_apart(every: Iterable[Names]) -> list[str]:
    """The axes beside attack, model, batch size and defence that tell cells apart which are alike in those."""
    alike: dict[str, list[Names]] = {}
    for names in every:
        alike.setdefault(line(names, _USUAL), []).append(names)
    return [axis for axis in _TOLD_APART if any(varying(group, [axis]) for group in alike.values())]


def fitted(words: str, room: int) -> str:
    """Words of one line in at most `room` columns: whole, else without settings, else cut."""
    if len(words) > room:
        words = re.sub(r"\([^()]*\)", "", words)
    return words if len(words) <= room else words[: max(0, room - 3)] + "..."


def reflowed(text: str) -> str:
    """A docstring with each paragraph on one line, to be wrapped where it is shown; lists and formulas keep theirs."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(p if re.search(r"^[\s-]", p, re.MULTILINE) else p.replace("\n", " ") for p in paragraphs)


def headline(record: Record) -> str:
    """The first leak of the cell's game that is stored, and its strongest control: `psnr 41.23 dB (control 14.80)`."""
    columns = sheet_of(record.names["game"]).columns
    column = next((c for c in columns if c.role == "leak" and _is_stored(c, record.scores)), None)
    measured = None if column is None else _value(column, record.scores)
    if column is None or measured is None:
        return ""
    stored = [scores for scores in record.controls.values() if _is_stored(column, scores)]
    controls = [found for scores in stored if (found := _value(column, scores)) is not None]
    unit = f" {column.unit}" if column.unit else ""
    control = f" (control {column.show(max(controls, key=column.gain))})" if controls else ""
    return f"{column.name} {column.show(measured)}{unit}{control}"


def _is_stored(column: Column, scores: Scores) -> bool:
    return column.name in scores if column.statistic is None else has_inputs(column.statistic, scores)


def _value(column: Column, scores: Scores) -> float | None:
    """A column's value in one cell: the mean over items, or the statistic of the whole cell."""
    if column.statistic is not None:
        return value(column.statistic, scores).value
    summary = summarise(scores[column.name])
    return None if summary is None else summary.mean
