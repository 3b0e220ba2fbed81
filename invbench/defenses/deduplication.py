"""Deduplication of the training text (Lee et al. 2022, arXiv 2107.06499; Kandpal et al. 2022, arXiv 2202.06539)."""

from __future__ import annotations

from dataclasses import dataclass

from invbench.defenses import Context, Defense
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class Deduplication(Defense):
    """Keep the first of equal passages of the training text, and leave out the others.

    Passages are lines. Lee et al. look for equal substrings of 50 tokens wherever they begin, and for near-duplicates;
    what repeats inside other words, or with a word changed, stays here.
    """

    shortest: int = parameter(
        20, at_least=1, unit="characters", help="shorter passages (empty lines, brackets) are kept, repeated or not"
    )

    def corpus(self, passages: list[str], context: Context) -> list[str]:
        """The passages in their order, those that repeat an earlier one left out."""
        known: set[str] = set()
        kept = []
        for passage in passages:
            words = passage.strip()
            if len(words) < self.shortest or words not in known:
                kept.append(passage)
            known.add(words)
        return kept
