"""Attacks: one file each; observations in, guesses out.

An attack is a frozen dataclass marked `@attack(game=...)`. It has one of

- `__call__(seen) -> Guess`: answers one observation;
- `attack_all(observations) -> list[Guess]`: answers all of a cell's at once. The answer for one
  observation may not depend on the others.

and may have

- `unsupported(public) -> str | None`: why it cannot attack this cell, known before anything is computed;
- `trial() -> (attack, factor)`: a short version of itself, and how many times longer the whole takes at most,
  for the forecast of `--dry-run`;
- `parts(public) -> [(name, attack), ...]`: the attacks that it runs in turn; the forecast adds theirs.

What an attack of this package says in its decorator, `closed_form="certified"` or `"plain"`, makes `auto` try it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from invbench.core import progress
from invbench.observation import Failed


def answer_all(attack: Any, observations: Sequence[Any]) -> list[Any]:
    """Every observation's guess, whichever kind the attack is. `Failed` becomes a guess of no images."""
    if hasattr(attack, "attack_all"):
        guesses: list[Any] = attack.attack_all(observations)
        return guesses
    answers = []
    for index, seen in enumerate(observations):
        try:
            answers.append(attack(seen))
        except Failed as failure:
            answers.append(seen.nothing(str(failure)))
        progress.report("attack", index + 1, len(observations))
    return answers
