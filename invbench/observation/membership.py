"""What crosses the wall in game `membership`: a released model, candidates without their bits, and a guess."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from invbench.observation._base import Answer, Labelled, Observation, Plain
from invbench.observation.update import PublicDefense

LARGEST = 1e100
"""Of a score: a record keeps no larger number, so that an answer beyond it would be lost."""
_BATCH = 256  # pictures that a released model answers at a time


class Architecture(Protocol):
    """A model's architecture, from which shadow models are built."""

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        """An untrained network, its weights drawn from torch's global generator."""
        ...

    def pretrain(self, network: nn.Module, images: Tensor, generator: torch.Generator, training: Any) -> None:
        """What its training does before it reads labels."""
        ...


@dataclass(frozen=True, eq=False)
class MembershipPublic:
    """What everybody knows of one cell of game `membership` before the released model is asked.

    `architecture` and `network` (on the meta device): how the victim is built. `steps`: batches that it trains for.
    `trained_on`: how many pictures. `candidates`: of whom half are members, which ones is the question. `reference`:
    the attacker's own pictures of the same kind, none of which is a candidate or was trained on. `identity`: a hash of
    both. `mean`, `std`: of each channel, with which pictures in [0, 1] are normalised.
    """

    model: str
    architecture: Architecture
    network: nn.Module
    image_shape: tuple[int, int, int]  # (C, H, W)
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    steps: int
    trained_on: int
    candidates: Labelled
    reference: Labelled
    identity: str
    protocol: str = "released"
    protocol_settings: Mapping[str, Plain] = field(default_factory=dict)
    defenses: tuple[PublicDefense, ...] = ()


@dataclass(frozen=True, eq=False)
class Released:
    """A trained model as anybody may ask it: normalised pictures in, probabilities of the classes out.

    They are computed in float64, so that 1 - p of a sure answer is not lost, and pass the `answer` defences.
    """

    _network: nn.Module
    _defended: Callable[[Tensor], Tensor] | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Probabilities `(N, classes)`, float64 on the CPU, of pictures `(N, C, H, W)`."""
        probabilities = log_probabilities(self._network, images).exp()
        return probabilities if self._defended is None else self._defended(probabilities)


@torch.no_grad()
def log_probabilities(network: nn.Module, images: Tensor) -> Tensor:
    """Log probabilities of the classes `(N, classes)`, float64 on the CPU, in the network's present mode."""
    device = next(network.parameters()).device
    scores = [network(some.to(device)).cpu() for some in torch.split(images, _BATCH)]
    return torch.cat(scores).double().log_softmax(dim=1)


@dataclass(frozen=True, eq=False, kw_only=True)
class MembershipObservation(Observation[MembershipPublic]):
    """One released model (game `membership`).

    `answer`: the model as anybody may ask it. `model`: a copy of the model itself, in eval mode; None where a defence
    acts on its answers, for whoever holds the weights does not need them.
    """

    answer: Released
    model: nn.Module | None

    def nothing(self, reason: str) -> MembershipGuess:
        """The answer of an attack that failed: every candidate as likely a member as the next."""
        return MembershipGuess(scores=torch.zeros(len(self.public.candidates)), notes=(reason,))

    def complaint(self, answer: object) -> str | None:
        """As of every observation, and that there is one finite score a candidate."""
        if wrong := super().complaint(answer):
            return wrong
        if not isinstance(answer, MembershipGuess):
            return f"must be a MembershipGuess, not {type(answer).__name__}"
        return answer.complaint(len(self.public.candidates))


@dataclass(frozen=True, eq=False, kw_only=True)
class MembershipGuess(Answer):
    """A score `(N,)` for each candidate, higher for a likelier member.

    `threshold`: from this score on the attack calls a candidate a member, chosen without the victim's own members;
    None where it says nothing.
    """

    scores: Tensor
    threshold: float | None = None

    def complaint(self, wanted: int) -> str | None:
        """What is not as said above for so many candidates, in words; None where all is."""
        scores, threshold = self.scores, self.threshold
        if not isinstance(scores, Tensor) or not scores.is_floating_point():
            kind = f"of {scores.dtype}" if isinstance(scores, Tensor) else type(scores).__name__
            return f"scores must be a tensor of floats, not {kind}"
        if tuple(scores.shape) != (wanted,):
            return f"scores must be ({wanted},), one a candidate, not {tuple(scores.shape)}"
        if not bool(scores.isfinite().all()):
            return "its scores are not finite"
        if (most := float(scores.double().abs().max()) if wanted else 0.0) > LARGEST:
            return f"its scores must lie within {LARGEST:g}, as records hold them, and reach {most:g}"
        if threshold is not None and not (isinstance(threshold, float) and math.isfinite(threshold)):
            return f"its threshold must be a finite number or None, not {threshold!r}"
        return None
