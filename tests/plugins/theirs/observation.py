"""What crosses the wall in game `presence`. Nothing here can reach the members."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.observation import Answer, Failed, Observation


@dataclass(frozen=True, eq=False)
class MembershipPublic:
    """What everybody knows of a cell before the victim answers.

    `network`: the victim's architecture on the meta device. `reference`: normalised pictures `(N, C, H, W)` and labels
    `(N,)` of the same kind as the candidates, none of which is a candidate.
    """

    network: nn.Module
    reference: tuple[Tensor, Tensor]


@dataclass(eq=False)
class Oracle:
    """The trained victim behind its interface: pictures in, class probabilities out, at most `left` more pictures."""

    network: nn.Module
    defended: Callable[[Tensor], Tensor]
    left: int

    def __call__(self, images: Tensor) -> Tensor:
        """Probabilities `(N, classes)`; Failed where the budget does not suffice."""
        if len(images) > self.left:
            raise Failed(f"needs {len(images)} queries, {self.left} are left")
        self.left -= len(images)
        with torch.no_grad():
            return self.defended(self.network(images).softmax(dim=1))


@dataclass(frozen=True, eq=False, kw_only=True)
class MembershipObservation(Observation[MembershipPublic]):
    """One victim and the candidates: normalised pictures `(N, C, H, W)` and labels `(N,)`, half of them members."""

    images: Tensor
    labels: Tensor
    oracle: Oracle

    def nothing(self, reason: str) -> MembershipAnswer:
        return MembershipAnswer(scores=torch.zeros(len(self.labels)), notes=(reason,))


@dataclass(frozen=True, eq=False, kw_only=True)
class MembershipAnswer(Answer):
    """A score `(N,)` for each candidate, the higher the more likely a member."""

    scores: Tensor
