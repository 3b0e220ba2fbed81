"""The victim's confidence in the right label as the score (Yeom et al. 2018, arXiv 1709.01604, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

from theirs.observation import MembershipAnswer, MembershipObservation, MembershipPublic

from invbench.core.attack import Attack
from invbench.registry import attack


@attack(game="presence")
@dataclass(frozen=True, kw_only=True)
class Confidence(Attack[MembershipPublic, MembershipObservation, MembershipAnswer]):
    """Members are what the victim is surest of."""

    def __call__(self, seen: MembershipObservation) -> MembershipAnswer:
        right = seen.oracle(seen.images)[range(len(seen.labels)), seen.labels]
        return MembershipAnswer(scores=right, evaluations=len(right))
