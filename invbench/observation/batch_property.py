"""What crosses the wall in game `batch-property`: one round's update, and a property that its batch may have."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from torch import Tensor

from invbench.observation._base import Answer, Observation
from invbench.observation.update import UpdateObservation


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchPropertyObservation(UpdateObservation):
    """One round as the server of game `update` sees it, and what is asked: does the batch hold value `asked`?

    Of the rows behind the update `holders` have that value of the sensitive attribute, or none has it, as likely the
    one as the other. `own_value` `(M,)`: the number of the value of each of the attacker's own rows
    (`public.reference`). `values`: the names of the values. The answer is a `PropertyGuess`.
    """

    values: tuple[str, ...]
    asked: int
    holders: int
    own_value: Tensor

    @classmethod
    def of(
        cls, seen: UpdateObservation, values: tuple[str, ...], asked: int, holders: int, own_value: Tensor
    ) -> BatchPropertyObservation:
        """The same round, with what is asked."""
        own = {one.name: getattr(seen, one.name) for one in fields(UpdateObservation)}
        return cls(**own, values=values, asked=asked, holders=holders, own_value=own_value)

    def nothing(self, reason: str) -> PropertyGuess:  # type: ignore[override]  # another question, another answer
        """The answer of an attack that failed: as likely as not."""
        return PropertyGuess(score=0.5, notes=(reason,))

    def complaint(self, answer: object) -> str | None:
        """As of every observation, and that there is one finite score."""
        if wrong := Observation.complaint(self, answer):
            return wrong
        if not isinstance(answer, PropertyGuess):
            return f"must be a PropertyGuess, not {type(answer).__name__}"
        if not isinstance(answer.score, float) or not math.isfinite(answer.score):
            return f"its score must be a finite number, not {answer.score!r}"
        return None


@dataclass(frozen=True, eq=False)
class PropertyGuess(Answer):
    """A score, higher where the property is likelier; those of all rounds and values are ranked together."""

    score: float
