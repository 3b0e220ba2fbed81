"""What crosses the wall in game `training-set`: a network's weights, and pictures said to be of its training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.observation._base import Answer, Observation

_ROUNDING = 1e-3  # what arithmetic may leave a picture outside of [0, 1]


@dataclass(frozen=True, eq=False)
class TrainingSetPublic:
    """What everybody knows of one cell of game `training-set` before any weights are seen.

    `network`: the architecture on the meta device, of one output: the logit of class 1. `pictures`: how many it was
    trained on, half of each class. `answers`: how many pictures an answer may hold.
    """

    model: str
    network: nn.Module
    image_shape: tuple[int, int, int]  # (C, H, W)
    std: tuple[float, ...]
    pictures: int
    answers: int


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingSetObservation(Observation[TrainingSetPublic]):
    """One trained network (game `training-set`).

    `model`: a fresh copy, float64. It takes normalised pictures, `(x - centre) / std`; `centre` `(C, H, W)` is the mean
    of public pictures, none of which it was trained on.
    """

    model: nn.Module
    centre: Tensor
    device: torch.device

    def to_unit_range(self, images: Tensor) -> Tensor:
        """Normalised images `(N, C, H, W)` back to [0, 1], clamped."""
        return (images * self._std(images) + self.centre.to(images)).clamp(0, 1)

    def edges(self) -> tuple[Tensor, Tensor]:
        """Black and white as the network sees them, `(C, H, W)` each, float32."""
        centre = self.centre.float()
        return -centre / self._std(centre), (1 - centre) / self._std(centre)

    def _std(self, like: Tensor) -> Tensor:
        return torch.tensor(self.public.std).to(like).reshape(-1, 1, 1)

    def nothing(self, reason: str) -> TrainingSetGuess:
        """The answer of an attack that has none: no picture, and why."""
        return TrainingSetGuess(images=torch.zeros(0, *self.public.image_shape), notes=(reason,))

    def complaint(self, answer: object) -> str | None:
        """As of every observation, and of a `TrainingSetGuess` what is not as it says of itself."""
        if not isinstance(answer, TrainingSetGuess):
            return super().complaint(answer) or f"must be a TrainingSetGuess, not {type(answer).__name__}"
        return answer.complaint(self.public)


@dataclass(frozen=True, eq=False)
class TrainingSetGuess(Answer):
    """Finite pictures `(M, C, H, W)` in [0, 1], each said to have been trained on; M is at most `public.answers`.

    With pictures without end every training picture would be hit by chance, so an attack ranks its candidates itself.
    """

    images: Tensor

    def complaint(self, public: TrainingSetPublic) -> str | None:
        """What is not as said above, in words; None where all is."""
        images, shape = self.images, tuple(public.image_shape)
        if type(images) is not Tensor or images.is_meta or not images.is_floating_point():
            return f"images must be a tensor of floats, not {type(images).__name__}"
        if images.dim() != 4 or tuple(images.shape[1:]) != shape:
            return f"images must be (N, {', '.join(map(str, shape))}), not {tuple(images.shape)}"
        if len(images) > public.answers:
            return f"has {len(images)} pictures; an answer holds at most {public.answers}, the best by its own ranking"
        if len(images) and not bool(images.isfinite().all()):
            return "its images are not finite"
        low, high = (float(edge) for edge in images.aminmax()) if len(images) else (0.0, 1.0)
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            return f"its images go from {low:.4g} to {high:.4g}, not from 0 to 1 (`to_unit_range` takes them there)"
        return None
