"""What crosses the wall in game `batch-membership`: one round's update, and candidates of whom half are behind it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

from invbench.observation._base import Labelled, Observation
from invbench.observation.membership import MembershipGuess
from invbench.observation.update import UpdateObservation


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchMembershipObservation(UpdateObservation):
    """One round as the server of game `update` sees it, and the pictures that it asks about.

    `candidates`: as many as the update was computed of, and as many others, in an order that says nothing. `labels`, of
    the pictures behind the update, only where the protocol says that they are known. The answer is a
    `MembershipGuess`: a score a candidate, which is compared with those of other rounds, too.
    """

    candidates: Labelled

    @classmethod
    def of(cls, seen: UpdateObservation, candidates: Labelled) -> BatchMembershipObservation:
        """The same round, with its candidates."""
        return cls(**{one.name: getattr(seen, one.name) for one in fields(UpdateObservation)}, candidates=candidates)

    def nothing(self, reason: str) -> MembershipGuess:  # type: ignore[override]  # another question, another answer
        """The answer of an attack that failed: every candidate as likely a member as the next."""
        return MembershipGuess(scores=torch.zeros(len(self.candidates)), notes=(reason,))

    def complaint(self, answer: object) -> str | None:
        """As of every observation, and that there is one finite score a candidate."""
        if wrong := Observation.complaint(self, answer):
            return wrong
        if not isinstance(answer, MembershipGuess):
            return f"must be a MembershipGuess, not {type(answer).__name__}"
        return answer.complaint(len(self.candidates))
