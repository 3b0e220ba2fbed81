"""What a report says of a cell beside the notes that its record holds: what its numbers leave out."""

from __future__ import annotations

from collections.abc import Mapping

from invbench.numbers.sheet import GameSheet
from invbench.numbers.whole_cell import Estimate
from invbench.report.leaks import Control


def remarks(
    sheet: GameSheet, estimates: Mapping[str, Estimate], strongest: Mapping[str, Control], full: int, targets: int
) -> tuple[str, ...]:
    """Why statistics of the whole cell are empty, what items others leave out, where a control is exact, and what the
    game's sheet says of the statistics.

    `full`: at how many of the `targets` the strongest control of the game's first metric leaves no room above it.
    """
    said = []
    if 0 < full < targets:
        control = strongest[sheet.first].name
        said.append(f"the control {control} is exact at {full} of {targets} targets: nothing can be read of those")
    for name, found in estimates.items():
        if found.why_empty is not None:
            said.append(f"{name} is empty: {found.why_empty}")
        elif found.left_out:
            many = sheet.said.item.many
            said.append(f"{name} leaves out {found.left_out} of {found.items} {many}, which have no finite score")
    if sheet.said.remarks is not None:
        values = {name: found.value for name, found in estimates.items() if found.value is not None}
        said += sheet.said.remarks(values)
    return tuple(said)
