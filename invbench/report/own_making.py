"""Attacks that can make pictures by themselves: whether they are nearer to the client's than those made from noise."""

from __future__ import annotations

from invbench.numbers.columns import Column
from invbench.numbers.intervals import LEAST_UNITS
from invbench.numbers.sheet import GameSheet
from invbench.numbers.statistics import Values, mean, paired_differences, paired_interval, target_means
from invbench.store import Record
from invbench.store.beside import beside

SAME = "the same pictures from {control}: what is shown is the generator's, not the client's"
DOUBT = "not surely better"
UNSURE = f"{DOUBT} than its pictures from {{control}}: what is shown may be the generator's, not the client's"


def own_making(sheet: GameSheet, record: Record) -> str:
    """What a report says of a cell whose attack is no better, or not surely, than on what holds nothing of a client.

    By each metric of its answers that both have; empty where one shows that something was read.
    """
    for control in beside(record.notes) if record.status == "ok" else ():
        other = record.controls.get(control, {})
        there = [name for name in sheet.said.answers if name in record.scores and name in other]
        found = [_gain(sheet.column(name), record.scores[name], other[name]) for name in there]
        if found and not any(more and certain for more, certain in found):
            said = UNSURE if any(more for more, _ in found) else SAME
            return said.format(control=control)
    return ""


def _gain(column: Column, ours: Values, theirs: Values) -> tuple[bool, bool]:
    """Whether the mean gain over the control is more than a margin, and whether its interval is above zero."""
    sides = target_means(theirs), target_means(ours)
    differences, interval = paired_differences(*sides), paired_interval(*sides)
    gain = mean(differences)
    if gain is None or interval is None:
        return False, False
    certain = len(differences) >= LEAST_UNITS and min(map(column.gain, interval)) > 0
    return column.gain(gain) > column.least_gain, certain
