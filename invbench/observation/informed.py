"""What crosses the wall in game `informed`: every step of a training whose pictures are known but for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from invbench.observation._base import Answer, Labelled, Observation, Plain
from invbench.observation.update import PublicDefense, Update


@dataclass(frozen=True, eq=False)
class InformedPublic:
    """What everybody knows of one cell of game `informed` before a step is seen.

    `network` (on the meta device): how the victim is built. `steps`: of gradient descent at learning rate `lr` before
    any defence. `trained_on`: how many pictures. `candidates`: how many pictures the unknown one is among.
    """

    model: str
    network: nn.Module
    image_shape: tuple[int, int, int]  # (C, H, W)
    classes: int
    steps: int
    lr: float
    trained_on: int
    candidates: int
    protocol: str = "every-step"
    protocol_settings: Mapping[str, Plain] = field(default_factory=dict)
    defenses: tuple[PublicDefense, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class InformedObservation(Observation[InformedPublic]):
    """One training, step by step (game `informed`).

    `model`: a copy of the network before the first step, in eval mode, in which it trains. `gradients`: of each step
    what the weights were moved against, after the defences, one tensor a parameter. `others`: the pictures that are
    known, normalised. `present` `(steps, others)`: which of them were in which step's batch. `candidates`: one of them
    was trained on, too, each with the same probability.
    """

    model: nn.Module
    gradients: tuple[Update, ...]
    others: Labelled
    present: Tensor
    candidates: Labelled
    device: torch.device

    def nothing(self, reason: str) -> InformedGuess:
        """The answer of an attack that failed: every candidate as likely as the next."""
        return InformedGuess(scores=torch.zeros(self.public.candidates), notes=(reason,))

    def complaint(self, answer: object) -> str | None:
        """As of every observation, and that there is one finite score a candidate."""
        if wrong := super().complaint(answer):
            return wrong
        if not isinstance(answer, InformedGuess):
            return f"must be an InformedGuess, not {type(answer).__name__}"
        scores, wanted = answer.scores, self.public.candidates
        if not isinstance(scores, Tensor) or not scores.is_floating_point():
            return f"scores must be a tensor of floats, not {type(scores).__name__}"
        if tuple(scores.shape) != (wanted,):
            return f"scores must be ({wanted},), one a candidate, not {tuple(scores.shape)}"
        return None if bool(scores.isfinite().all()) else "its scores are not finite"


@dataclass(frozen=True, eq=False, kw_only=True)
class InformedGuess(Answer):
    """A score `(candidates,)`, highest for the candidate that is taken for the one trained on."""

    scores: Tensor
