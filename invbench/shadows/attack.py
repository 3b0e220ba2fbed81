"""The base of membership attacks that compare the victim's answers with those of shadow models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from invbench.core.attack import Attack
from invbench.observation import MembershipGuess, MembershipObservation, MembershipPublic, Preparation
from invbench.registry import parameter
from invbench.shadows.answers import Shadows, shadows_of
from invbench.shadows.preparing import shadow_models
from invbench.shadows.thresholds import chosen_on_shadows


@dataclass(frozen=True, kw_only=True)
class ShadowAttack(Attack[MembershipPublic, MembershipObservation, MembershipGuess], ABC):
    """Scores of the candidates from one model's answers and the shadows'; the threshold is chosen on the shadows."""

    shadows: int = parameter(16, at_least=4, unit="models", help="shadow models, which attacks of one number share")

    def preparations(self, public: MembershipPublic) -> Mapping[str, Preparation]:
        return shadow_models(public, self.shadows)

    @abstractmethod
    def scores(self, own: Tensor, labels: Tensor, shadows: Shadows) -> Tensor:
        """A score a candidate `(N,)`, of a model's probabilities `(N, classes)` and the right labels `(N,)`."""

    def __call__(self, seen: MembershipObservation) -> MembershipGuess:
        candidates, shadows = seen.public.candidates, shadows_of(seen)
        scores = self.scores(seen.answer(candidates.images), candidates.labels, shadows)
        return MembershipGuess(
            scores=scores,
            threshold=chosen_on_shadows(lambda own, others: self.scores(own, candidates.labels, others), shadows),
            evaluations=len(candidates),
        )
