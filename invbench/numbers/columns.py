"""A metric as a column: what it means, which way is a better attack, how it prints, when it has moved."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from invbench.core.typed import must_be_typed
from invbench.numbers.whole_cell import Statistic

Role = Literal["leak", "cost", "limit", "unknown"]
"""`leak`: what was read. `cost`: what attack or defence costs. `limit`: what any attack could read at most.

`unknown`: a stored metric of which nothing here says what it is, as of a package that is not installed any more.
Only a leak can be evidence that something was read.
"""

UNSHOWN = re.compile(r"[|`*<>\[\]\\]")
"""Signs that would be more than themselves in a table of Markdown."""
MOST_DECIMALS = 17
"""As many as tell two floats apart."""


@dataclass(frozen=True)
class Column:
    """One metric.

    `better`: the direction in which the attack is stronger (more leaks), of a cost or a limit the welcome one.
    `tolerance`: the absolute change, in the metric's own unit, that the gate puts up with by default. `margin`: how
    far above its strongest control a leak must be to have read anything (None: the tolerance). `title`: how people
    write the name, where not as it is. `pooled`: the values by target are jackknife pseudo-values, which nobody
    should read alone. `statistic`: the cell's value is this statistic of stored items, not a mean over targets.
    `least`, `most`: what it can be (None: anything, or what its statistic says); no interval leaves that.
    """

    name: str
    help: str
    better: Literal["higher", "lower"] = "higher"
    unit: str = ""
    decimals: int = 3
    tolerance: float = 0.02
    role: Role = "leak"
    margin: float | None = None
    title: str = ""
    pooled: bool = False
    statistic: Statistic | None = None
    least: float | None = None
    most: float | None = None

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The least and the most that the metric can be, as far as anybody says."""
        if self.statistic is None:
            return self.least, self.most
        least, most = self.statistic.least, self.statistic.most
        return least if self.least is None else self.least, most if self.most is None else self.most

    def room_above(self, value: float) -> float:
        """How much stronger than this an attack could be; infinite where nobody says."""
        least, most = self.bounds
        end = most if self.better == "higher" else least
        return math.inf if end is None else self.gain(end - value)

    def __post_init__(self) -> None:
        """TypeError or ValueError for what tables could not show: they print names and units as they are."""
        must_be_typed(self)
        for what, words in (("name", self.name or "|"), ("title", self.title), ("unit", self.unit)):
            if UNSHOWN.search(words) or not words.isprintable():
                raise ValueError(f"Column.{what} must be plain words, not {words!r}")
        if not 0 <= self.decimals <= MOST_DECIMALS:
            raise ValueError(f"Column.decimals must be 0 to {MOST_DECIMALS}, not {self.decimals}")

    @property
    def written(self) -> str:
        """The metric as people write it: `PSNR`, `label accuracy`."""
        return self.title or self.name.replace("_", " ")

    @property
    def least_gain(self) -> float:
        """How far above its control the metric must be to have read anything."""
        return self.tolerance if self.margin is None else self.margin

    def gain(self, difference: float) -> float:
        """A change of the metric, signed so that a positive one is a stronger attack."""
        return difference if self.better == "higher" else -difference

    def show(self, value: float | None) -> str:
        """A value as every table prints it; nothing for an empty one."""
        return "" if value is None else f"{value:.{self.decimals}f}"


def plain_column(name: str) -> Column:
    """The column of a stored metric that no sheet and no metric file describes."""
    return Column(name, "a stored metric that nothing installed here describes", role="unknown")
