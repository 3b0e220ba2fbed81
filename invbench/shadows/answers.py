"""What an attack reads in answers: confidence in the right class, and what shadow models say of each candidate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.defenses import Context
from invbench.observation import MembershipObservation
from invbench.shadows.training import stack_of

LEAST = torch.finfo(torch.float64).tiny
"""What a probability counts as at least."""
LEAST_DEFENDED = 0.01
"""The same of answers of which some are 0, as rounding and masks leave them: a softmax is never 0. Read as e^-708 they
would make up nearly all of LiRA's variance, and a defence would look good that stops nothing but that. Of 480 crops of
`natural` and 8 shadows, AUC of LiRA with `fixed` variance behind `mask` (2 classes): 0.723 so, 0.785 at 0.01, 0.753
without a defence; behind rounding at 0.01 0.743 and 0.788. Between 0.001 and 0.025 it moves by 0.015 at most."""


@dataclass(frozen=True, eq=False)
class Shadows:
    """`probabilities` `(K, N, classes)`: of the candidates, as the victim's defences would let them out.

    `kept` `(K, N)`: which candidates each shadow was trained on.
    """

    probabilities: Tensor
    kept: Tensor

    def without(self, shadow: int) -> Shadows:
        """The others."""
        others = torch.arange(len(self.kept)) != shadow
        return Shadows(self.probabilities[others], self.kept[others])


def shadows_of(seen: MembershipObservation) -> Shadows:
    """The shadows that were prepared for an observation, behind the declared `answer` defences.

    Where these draw, they draw from the attacker's own stream.
    """
    made = seen.prepared["shadows"]
    stack, context = stack_of(seen.public), Context(seen.generator)
    probabilities = [stack.at("answer", one.exp(), context) for one in made["log_probabilities"]]
    return Shadows(torch.stack(probabilities), made["kept"].bool())


def log_confidence(probabilities: Tensor, labels: Tensor) -> Tensor:
    """log p of the right class, `(..., N)`, of probabilities `(..., N, classes)` and labels `(N,)`."""
    return _right(probabilities, labels).clamp_min(_least(probabilities)).log()


def logit(probabilities: Tensor, labels: Tensor) -> Tensor:
    """log p / (1 - p) of the right class, `(..., N)`: close to normal over models (Carlini et al. 2022, section IV-C).

    1 - p is the sum of the other classes' probabilities, which keeps its digits where p is almost 1.
    """
    wrong = probabilities.scatter(-1, _places(probabilities, labels), 0.0).sum(dim=-1)
    return log_confidence(probabilities, labels) - wrong.clamp_min(_least(probabilities)).log()


def _least(probabilities: Tensor) -> float:
    return LEAST_DEFENDED if bool((probabilities == 0).any()) else LEAST


def _right(probabilities: Tensor, labels: Tensor) -> Tensor:
    return probabilities.gather(-1, _places(probabilities, labels))[..., 0]


def _places(probabilities: Tensor, labels: Tensor) -> Tensor:
    return labels[:, None].expand(*probabilities.shape[:-1], 1)
