"""How to read a report's tables, said of the games that it holds."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence

from invbench.numbers.columns import Column
from invbench.numbers.intervals import LEAST_UNITS
from invbench.numbers.sheet import Bound, Evidence, GameSheet
from invbench.report import wording

WIDTH = 120
"""Columns of a line of the report's source."""

ARROWS = "↑ and ↓ point to where more leaks; the value of each column that leaks most is in bold."
CONTROLS = """\
A control answers without reading anything from the victim. Beside a metric stands the strongest one, or each."""
FINDING = f"""\
"{wording.NOTHING.capitalize()}": no metric's mean is more than a margin above its strongest control's: {{margins}};
or every target diverged. "{wording.UNSURE.capitalize()}": it is more, but the 95 % interval of the difference, paired
by target, holds zero, or there are fewer than {LEAST_UNITS} targets. "By" names the metric that shows what the first
one does not."""
INTERVAL = "mean and 95 % interval over targets (Student's t; where all are at one end, what so many in a row prove)"
LAST = """\
The last column is the beginning of the cell's id, for `invbench show DIR CELL`; it leads to the
cell's pictures, where it has any."""


def legend(sheets: Sequence[GameSheet], measured: Collection[str] = (), beside: Sequence[str] = ()) -> str:
    """The legend of a report of these games, as Markdown; `measured`: the metrics that some cell has a value of;
    `beside`: sentences on what stands beside their columns."""
    known = [sheet for sheet in sheets if sheet.plain is None]
    values = dict.fromkeys(sentence for sheet in known for sentence in _values(sheet, measured))
    margins = dict.fromkeys(_margin(sheet, one) for sheet in known for one in sheet.evidence)
    points = [" ".join([*values, ARROWS]), CONTROLS]
    points += [FINDING.format(margins=_listed(list(margins)))] if margins else []
    points += dict.fromkeys(" ".join(sheet.said.legend) for sheet in known if sheet.said.legend)
    points += dict.fromkeys(_bound(sheet, b) for sheet in known for b in sheet.said.bounds if b.limit in measured)
    points += dict.fromkeys(words for sheet in known for words in _defined(sheet, measured))
    return "How to read the tables:\n\n" + "\n".join(map(_point, [*points, *beside, LAST]))


def _values(sheet: GameSheet, measured: Collection[str]) -> list[str]:
    """What stands in the columns of a game's tables: means with their spread, statistics of whole cells."""
    every = [sheet.column(metric) for metric in sheet.layout.metrics]
    shown = [column for column in every if column.role != "limit" or column.name in measured]
    means = [column.written for column in shown if column.statistic is None]
    spread = {
        "std": f"mean ± standard deviation over {sheet.said.item.many}",
        "interval": INTERVAL,
    }[sheet.layout.spread]
    sentences = [f"{_capital(_listed(means))}: {spread}."] if means else []
    for unit in ("items", "targets"):
        drawn = [column.written for column in shown if column.statistic and column.statistic.resampled == unit]
        if drawn:
            many = sheet.said.item.many
            over = f"95 % bootstrap interval over {many if unit == 'items' else 'targets'}"
            sentences.append(f"{_capital(_listed(drawn))}: of all {many}, with the {over}.")
    kinds = dict.fromkeys((column.role, column.better) for column in shown if column.role in ("cost", "limit"))
    return sentences + [_no_leak([one for one in shown if (one.role, one.better) == kind]) for kind in kinds]


def _no_leak(columns: Sequence[Column]) -> str:
    """`Queries is a cost, and no leak: lower is better.` of columns of one role and direction."""
    one = len(columns) == 1
    what = {"cost": ("a cost", "costs"), "limit": ("a bound", "bounds")}[columns[0].role][0 if one else 1]
    names = _capital(_listed([column.written for column in columns]))
    return f"{names} {'is' if one else 'are'} {what}, and no leak: {columns[0].better} is better."


def _defined(sheet: GameSheet, measured: Collection[str]) -> list[str]:
    """What each bound and each cost that some cell has is, but those of which `bounds` says more."""
    said = {bound.limit for bound in sheet.said.bounds}
    columns = [column for column in sheet.columns if column.role != "leak" and column.name in measured]
    return [f"{_capital(column.written)}: {column.help}." for column in columns if column.name not in said]


def _bound(sheet: GameSheet, bound: Bound) -> str:
    leak, limit = sheet.column(bound.leak), sheet.column(bound.limit)
    return f"{_capital(limit.written)} is of {leak.written}: {bound.words}."


def _margin(sheet: GameSheet, evidence: Evidence) -> str:
    """`1 dB of PSNR`, `0.02 of LPIPS where the control `noise` was asked for`."""
    column = sheet.column(evidence.metric)
    unit = f" {column.unit}" if column.unit else ""
    beside = f" where the control `{evidence.beside}` was asked for and no target diverged" if evidence.beside else ""
    return f"{column.least_gain:g}{unit} of {column.written}{beside}"


def _listed(words: Sequence[str]) -> str:
    """`PSNR, SSIM and LPIPS`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _capital(words: str) -> str:
    """With a capital, but where a name is written as it is (`dFIL`)."""
    return words if words[1:2].isupper() else words[:1].upper() + words[1:]


def _point(words: str) -> str:
    return textwrap.fill(
        words, WIDTH, initial_indent="- ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
