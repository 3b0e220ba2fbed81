"""How cells, numbers and findings read in a report's Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invbench.numbers.columns import Column
from invbench.numbers.intervals import LEAST_UNITS
from invbench.numbers.sheet import Spread
from invbench.numbers.statistics import Summary
from invbench.report.figures import Figures
from invbench.report.leaks import Control
from invbench.report.own_making import DOUBT
from invbench.report.tables import code, text

NOTHING, UNSURE, NOT_READABLE = "read nothing", "unsure", "nothing to read"
OWN_MAKING = "its own making"
OWN_LEGEND = f"""\
"{OWN_MAKING.capitalize()}": the attack can make pictures by itself, and with noise in the update's place it makes as
good ones; "perhaps": not surely worse ones."""


WORDS = {"batch_size": "batch size", "defense": "defence", "dataset": "data set", "seed": "seed"}
"""Axes whose name is not the word for them; `seed` stands for itself."""


def cells(count: int) -> str:
    """`1 cell`, `2 cells`."""
    return f"{count} {'cell' if count == 1 else 'cells'}"


def attacked(names: Mapping[str, Any]) -> str:
    """`dlg` on `lenet`: the attack and its victim."""
    return f"{code(names['attack'])} on {code(names['model'])}"


def setting(names: Mapping[str, Any]) -> str:
    """Where it was measured: data set, batch size, protocol; what the game does not use is left out."""
    batch = f"batch size {names['batch_size']}" if names["batch_size"] is not None else ""
    protocol = code(names["protocol"]) if names["protocol"] is not None else ""
    return ", ".join(part for part in (code(names["dataset"]), batch, protocol) if part)


def whole_cell(names: Mapping[str, Any]) -> str:
    """One cell on one line of plain words, every axis that is named and that its game uses."""
    words = {axis: WORDS[axis] for axis in ("batch_size", "defense", "seed")}
    shown = [
        (axis, names.get(axis)) for axis in ("attack", "model", "dataset", "batch_size", "protocol", "defense", "seed")
    ]
    return ", ".join(f"{words.get(axis, '')} {value}".strip() for axis, value in shown if value is not None)


def column_title(column: Column) -> str:
    """`PSNR (dB) ↑`: the arrow points to where more leaks; what is no leak has none."""
    arrow = {"higher": " ↑", "lower": " ↓"}[column.better] if column.role == "leak" else ""
    return f"{column.written}{f' ({column.unit})' if column.unit else ''}{arrow}"


def with_unit(column: Column, value: float, sign: str = "") -> str:
    """A number of a metric with its unit; `sign` "+" also signs a positive one."""
    return f"{value:{sign}z.{column.decimals}f}{f' {column.unit}' if column.unit else ''}"


def mean_and_spread(column: Column, summary: Summary, spread: Spread, count: int) -> str:
    """`31.20 ± 2.10` (standard deviation) or `0.620 [0.530, 0.710]` (95 % interval); one value has no spread."""
    show = column.show
    if count < 2:
        return show(summary.mean)
    if spread == "std" and summary.std is not None:
        return f"{show(summary.mean)} ± {show(summary.std)}"
    return f"{show(summary.mean)} {interval(column, summary)}".rstrip()


def interval(column: Column, summary: Summary) -> str:
    """`[0.530, 0.710]`; nothing where there is none."""
    if summary.ci_low is None or summary.ci_high is None:
        return ""
    return f"[{column.show(summary.ci_low)}, {column.show(summary.ci_high)}]"


def control_in_words(column: Column, control: Control) -> str:
    """`14.80 (grey)`."""
    return f"{column.show(control.mean)} ({text(control.name)})"


def few(one: Figures) -> str:
    """`with 2 targets`, where so few show nothing for sure, else nothing."""
    number = one.record.targets
    return f" with {number} target{'s' if number > 1 else ''}" if number < LEAST_UNITS else ""


def finding(one: Figures) -> str:
    """What a row comes to: the gain over the control or that nothing was read, or why there is no number.

    Where another metric than the game's first shows the leak, it is named: `+0.500 by identified (-1.20 dB)`.
    """
    record, leak, shown = one.record, one.leak, one.shown
    if record.status != "ok":
        return record.status
    column = one.sheet.column
    if one.sheet.plain:
        words = "not known"
    elif one.nothing_to_read is not None:
        words = NOT_READABLE
    elif leak is None:
        words = "no value" if record.controls else "no control"
    else:
        words = with_unit(column(leak.metric), leak.gain, "+")
        words += "" if leak.metric == one.sheet.first else f" by {column(leak.metric).written}"
        maybe = next((other for other in one.evidence if other.more), leak)
        if shown is None and maybe.metric != leak.metric:
            by = column(maybe.metric)
            words = f"{UNSURE}{few(one)} ({with_unit(by, maybe.gain, '+')} by {by.written}; {words})"
        elif shown is None:
            words = f"{UNSURE + few(one) if one.unsure else NOTHING} ({words})"
        elif shown.metric != leak.metric:
            by = column(shown.metric)
            words = f"{with_unit(by, shown.gain, '+')} by {by.written} ({words})"
    if one.own:
        words += f"; {'perhaps ' if one.own.startswith(DOUBT) else ''}{OWN_MAKING}"
    return f"{words}; {record.diverged} of {record.targets} diverged" if record.diverged else words
