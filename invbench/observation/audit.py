"""What crosses the wall in game `audit`: what a training released, its canaries without their bits, and scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from invbench.observation._base import Answer, Labelled, Observation, Plain
from invbench.observation.update import PublicDefense


@dataclass(frozen=True, eq=False)
class AuditPublic:
    """What everybody knows of one cell of game `audit` before the training.

    `count`: how many canaries there are, each in with probability 1/2. Of kind `dirac`: `coordinates` `(n,)`, the place
    of each canary's gradient among the numbers of `gradient`, and `step`, what one that is in adds there whenever it is
    drawn, `draws` times on average. Of kind `mislabelled`: `pictures`, with their wrong labels.
    """

    model: str
    count: int
    kind: str
    coordinates: Tensor | None = None
    step: float = 0.0
    draws: float = 0.0
    pictures: Labelled | None = None
    protocol: str = "audit"
    protocol_settings: Mapping[str, Plain] = field(default_factory=dict)
    defenses: tuple[PublicDefense, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class AuditObservation(Observation[AuditPublic]):
    """One training (game `audit`).

    `gradient`: of kind `dirac` the sum over all steps of what the optimiser was given, `(parameters,)`; else None.
    `model`: of kind `mislabelled` the trained network, in eval mode; else None.
    """

    gradient: Tensor | None
    model: nn.Module | None

    def nothing(self, reason: str) -> AuditGuess:
        """The answer of an attack that failed: every canary as likely in as the next."""
        return AuditGuess(scores=torch.zeros(self.public.count), middle=0.0, notes=(reason,))

    def complaint(self, answer: object) -> str | None:
        """As of every observation, and that there is one finite score a canary."""
        if wrong := super().complaint(answer):
            return wrong
        if not isinstance(answer, AuditGuess):
            return f"must be an AuditGuess, not {type(answer).__name__}"
        scores, wanted = answer.scores, self.public.count
        if not isinstance(scores, Tensor) or not scores.is_floating_point():
            return f"scores must be a tensor of floats, not {type(scores).__name__}"
        if tuple(scores.shape) != (wanted,):
            return f"scores must be ({wanted},), one a canary, not {tuple(scores.shape)}"
        if not bool(scores.isfinite().all()):
            return "its scores are not finite"
        if not (isinstance(answer.middle, float) and math.isfinite(answer.middle)):
            return f"its middle must be a finite number, not {answer.middle!r}"
        return None


@dataclass(frozen=True, eq=False, kw_only=True)
class AuditGuess(Answer):
    """A score `(n,)` for each canary, higher for likelier in. `middle`: the score at which in is as likely as out."""

    scores: Tensor
    middle: float
