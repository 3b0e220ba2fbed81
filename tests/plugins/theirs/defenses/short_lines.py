"""Stage `corpus`: no long lines."""

from __future__ import annotations

from dataclasses import dataclass

from invbench.defenses import Context, Defense
from invbench.registry import defense


@defense
@dataclass(frozen=True, kw_only=True)
class ShortLines(Defense):
    """The first 40 characters of every line."""

    def corpus(self, passages: list[str], context: Context) -> list[str]:
        return [f"{passage.rstrip()[:40]}\n" for passage in passages]
