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
ZEROS = {"mask": 2, "round": 2, "top-label": 2}
"""Versions of attacks beside defences that leave zeros, which were read as e^-708."""
LEAST_DEFENDED = 0.01
"""The same of answers behind a defence: rounding and masks leave zeros, a softmax none. Read as e^-708 they
would make up nearly all of LiRA's variance, and a defence would look good that stops nothing but that. AUC of LiRA,
`fixed` variance, on 480 crops of `natural` with 8 shadows: behind `mask` (2 classes) 0.723 so and 0.785 at 0.01, behind
rounding at 0.01 0.743 and 0.788, without a defence 0.753. Between 0.001 and 0.025 it moves by 0.015 at most."""


@dataclass(frozen=True, eq=False)
class Shadows:
    """`probabilities` `(K, N, classes)`: of the candidates, as the victim's defences would let them out.

    `kept` `(K, N)`: which candidates each shadow was trained on. `least`: what a probability counts as at least, also
    of the model that is compared with them.
    """

    probabilities: Tensor
    kept: Tensor
    least: float = LEAST

    def without(self, shadow: int) -> Shadows:
        """The others."""
        others = torch.arange(len(self.kept)) != shadow
        return Shadows(self.probabilities[others], self.kept[others], self.least)


def shadows_of(seen: MembershipObservation) -> Shadows:
    """The shadows that were prepared for an observation, behind the declared `answer` defences.

    Where these draw, they draw from the attacker's own stream.
    """
    made = seen.prepared["shadows"]
    stack, context = stack_of(seen.public), Context(seen.generator)
    probabilities = [stack.at("answer", one.exp(), context) for one in made["log_probabilities"]]
    defended = any("answer" in defense.stages() for defense in stack.defenses)
    return Shadows(torch.stack(probabilities), made["kept"].bool(), LEAST_DEFENDED if defended else LEAST)


def log_confidence(probabilities: Tensor, labels: Tensor, least: float = LEAST) -> Tensor:
    """log p of the right class, `(..., N)`, of probabilities `(..., N, classes)` and labels `(N,)`."""
    return _right(probabilities, labels).clamp_min(least).log()


def logit(probabilities: Tensor, labels: Tensor, least: float = LEAST) -> Tensor:
    """log p / (1 - p) of the right class, `(..., N)`: close to normal over models (Carlini et al. 2022, section IV-C).

    1 - p is the sum of the other classes' probabilities, which keeps its digits where p is almost 1.
    """
    wrong = probabilities.scatter(-1, _places(probabilities, labels), 0.0).sum(dim=-1)
    return log_confidence(probabilities, labels, least) - wrong.clamp_min(least).log()


def _right(probabilities: Tensor, labels: Tensor) -> Tensor:
    return probabilities.gather(-1, _places(probabilities, labels))[..., 0]


def _places(probabilities: Tensor, labels: Tensor) -> Tensor:
    return labels[:, None].expand(*probabilities.shape[:-1], 1)
