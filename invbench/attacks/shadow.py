"""Attack models trained on shadow models' answers, one a class (Shokri et al. 2017, arXiv 1610.05820, section V)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from invbench.attacks import Attack
from invbench.observation import MembershipGuess, MembershipObservation, MembershipPublic, Preparation
from invbench.registry import attack, parameter
from invbench.shadows.answers import Shadows, shadows_of
from invbench.shadows.preparing import shadow_models

_LR = 0.01  # as the paper's attack models


@attack(game="membership")
@dataclass(frozen=True, kw_only=True)
class Shadow(Attack[MembershipPublic, MembershipObservation, MembershipGuess]):
    """For each class a small network tells vectors of probabilities of members from those of others.

    It learns on what the shadows answer on the candidates of that class, whose membership in each shadow is known; the
    victim's answers are then judged. One hidden layer of `units` rectified units, as the paper's (64); full batches of
    Adam. The score is the logit of membership, so the threshold is 0.
    """

    shadows: int = parameter(16, at_least=4, unit="models", help="shadow models, which attacks of one number share")
    units: int = parameter(64, at_least=1, unit="units", help="size of the attack models' hidden layer")
    iterations: int = parameter(200, at_least=1, help="steps that each attack model is trained for")

    def preparations(self, public: MembershipPublic) -> Mapping[str, Preparation]:
        return shadow_models(public, self.shadows)

    def __call__(self, seen: MembershipObservation) -> MembershipGuess:
        candidates, shadows = seen.public.candidates, shadows_of(seen)
        own = seen.answer(candidates.images)
        scores = torch.zeros(len(candidates), dtype=torch.float64)
        for label in sorted(set(candidates.labels.tolist())):
            here = candidates.labels == label
            model = self._attack_model(shadows, here, seen.generator)
            with torch.no_grad():
                scores[here] = model(own[here].float())[:, 0].double()
        return MembershipGuess(scores=scores, threshold=0.0, evaluations=len(candidates))

    def _attack_model(self, shadows: Shadows, here: Tensor, generator: torch.Generator) -> nn.Module:
        """The network for the candidates `here` of one class."""
        answers = shadows.probabilities[:, here].flatten(end_dim=1).float()  # (K n, classes)
        kept = shadows.kept[:, here].flatten().float()
        seed = int(torch.randint(2**62, (), generator=generator))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = nn.Sequential(nn.Linear(answers.shape[1], self.units), nn.ReLU(), nn.Linear(self.units, 1))
        optimizer = torch.optim.Adam(model.parameters(), lr=_LR)
        for _ in range(self.iterations):
            optimizer.zero_grad()
            functional.binary_cross_entropy_with_logits(model(answers)[:, 0], kept).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return model
