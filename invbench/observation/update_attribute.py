"""What crosses the wall in game `update-attribute`: one round's update, and what its target's row may be."""

from __future__ import annotations

from dataclasses import dataclass, fields

from torch import Tensor

from invbench.observation._base import Observation
from invbench.observation.attribute import AttributeGuess, no_probabilities
from invbench.observation.update import UpdateObservation


@dataclass(frozen=True, eq=False, kw_only=True)
class UpdateAttributeObservation(UpdateObservation):
    """One round as the server of game `update` sees it, and what it knows of the person whom it asks about.

    That person's row is the first of the update's batch, and so are `labels` in their order, where the protocol says
    that they are known. `values`: those of the sensitive attribute. `candidates` `(N, D, 1, 1)`: all rows that agree
    with what is known of the person, normalised as networks take them; row i has the value number `value[i]`, and
    without the update it would be the true one with probability `prior[i]`, float64. Nothing is known of the others in
    the batch. The answer is an `AttributeGuess`.
    """

    values: tuple[str, ...]
    candidates: Tensor
    value: Tensor
    prior: Tensor

    @classmethod
    def of(
        cls, seen: UpdateObservation, values: tuple[str, ...], candidates: Tensor, value: Tensor, prior: Tensor
    ) -> UpdateAttributeObservation:
        """The same round, with what is asked."""
        own = {one.name: getattr(seen, one.name) for one in fields(UpdateObservation)}
        return cls(**own, values=values, candidates=candidates, value=value, prior=prior)

    def nothing(self, reason: str) -> AttributeGuess:  # type: ignore[override]  # another question, another answer
        """The answer of an attack that failed: every value as likely as the next."""
        count = len(self.values)
        return AttributeGuess(probabilities=(1 / count,) * count, notes=(reason,))

    def complaint(self, answer: object) -> str | None:
        """As of every observation, and that there is one finite probability a value."""
        return Observation.complaint(self, answer) or no_probabilities(answer, len(self.values))
