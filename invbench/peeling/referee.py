"""Which of several answers to one update is the likeliest: through client, defences and a prior, without the truth."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from invbench.observation import Guess, UpdateObservation
from invbench.peeling import prior
from invbench.peeling.answer import explains
from invbench.updates.likelihood import misfit, simulated, squared_residual

_ERROR = 0.03
"""Searches stop early: residuals below 3 % of an entry count as noise (chosen on three updates of batch 4)."""


@dataclass(frozen=True, eq=False)
class Judged:
    """One part's answer to one update, simulated once.

    `misfit`: mean weighted squared residual of the simulated update, about 1 at the truth. `surprise`: minus twice the
    log of the answer's posterior, up to a constant; infinite for no answer. `squares`: the likelihood's part of it.
    `explains`: whether nothing but rounding and the declared noise is left between the simulated update and the one
    seen.
    """

    part: str
    guess: Guess
    misfit: float = math.inf
    surprise: float = math.inf
    explains: bool = False
    squares: float = math.inf

    @property
    def certified(self) -> bool:
        """Whether the part shows that its answer is the only one."""
        return bool(self.guess.facts.get("certified", False))

    def facts(self) -> dict[str, Any]:
        """For the record, as JSON: how it was judged, why it failed where it has no pictures, else its notes."""
        said = list(self.guess.notes)
        told = {"notes": said} if len(self.guess.images) else {"failed": "; ".join(said)}
        return {"misfit": _number(self.misfit), "surprise": _number(self.surprise)} | (told if said else {})


def judge(part: str, guess: Guess, seen: UpdateObservation) -> Judged:
    """The guess, judged by the update it gives and by the prior on natural pictures."""
    if guess.labels is None:
        return Judged(part, guess)
    mean, std = seen.channel_constants()
    images = (guess.images.to(seen.device) - mean) / std
    update = simulated(seen, images, guess.labels)
    squares, _ = squared_residual(seen, update, error=_ERROR)
    surprise = squares + prior.energy(images)  # NaN for a guess that is: it would win every comparison or none
    return Judged(
        part,
        guess,
        misfit=misfit(seen, update),
        surprise=math.inf if math.isnan(surprise) else surprise,
        explains=explains(seen, update),
        squares=squares,
    )


def under(one: Judged, energy: float) -> Judged:
    """The same beside another prior, under which minus twice the log density of its pictures is `energy`."""
    surprise = one.squares + energy
    return dataclasses.replace(one, surprise=math.inf if math.isnan(surprise) else surprise)


def likeliest(answers: Sequence[Judged]) -> Judged:
    """The certified answer, else the one with the least surprise; of equals the first."""
    return min(answers, key=lambda one: (not one.certified, one.surprise))


def best_guess(answers: Sequence[Judged]) -> Guess:
    """The likeliest answer as a guess that counts everybody's work and says how every part was judged."""
    best = likeliest(answers)
    stopped = sum((Counter(one.guess.stopped) for one in answers), Counter[str]())
    return dataclasses.replace(
        best.guess,
        evaluations=sum(one.guess.evaluations for one in answers),
        objective=_number(best.misfit),
        facts={**best.guess.facts, "part": best.part, "parts": {one.part: one.facts() for one in answers}},
        stopped=dict(stopped),
    )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
