"""What a paper reports of cells like these: the matrix's key `published`. No cell's id knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = float | tuple[float, float] | str
"""A number in the metric's own unit, a range, or words where the paper's number is of something else."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One number of a paper beside the `cells` (ids) that ask its question. `differs`: in words, why ours does."""

    cells: tuple[str, ...] = ()
    metric: str
    value: Value
    source: str
    differs: str

    @property
    def numbers(self) -> tuple[float, ...]:
        """The value's numbers: one, the ends of a range, none in words."""
        if isinstance(self.value, str):
            return ()
        return self.value if isinstance(self.value, tuple) else (self.value,)
