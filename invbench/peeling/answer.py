"""What can be said of an answer without the truth: whether it explains the update, and whether another could."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from invbench.observation import Guess, Update, UpdateObservation
from invbench.updates.likelihood import misfit, simulated, squared_residual
from invbench.updates.simulation import stack_of

_SAME = 1e-4
"""Relative error within which a simulated update is the one seen, beside the declared noise."""

_AGREES, _CHANCE = 2.0, 8.0
"""Largest misfit of an answer that explains an update with that error; where noise is declared, what chance allows:
1 at the truth, give or take sqrt(2) (Gaussian) to sqrt(5) (Laplace) over the root of the number of entries."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A picture `(1, C, H, W)`, normalised, its posterior variance `(C, H, W)`, its label `(1,)`.

    `misfit`: of the simulated update. `explains`: whether that is within rounding and declared noise. `certified`:
    it explains the update and nothing else does.
    """

    image: Tensor
    variance: Tensor
    label: Tensor
    misfit: float
    explains: bool
    certified: bool

    def guess(self, seen: UpdateObservation, evaluations: int, **facts: Any) -> Guess:
        told = {"certified": self.certified, "predicted_psnr": _decibels(self.variance, seen.public.std)}
        return Guess(
            images=seen.to_unit_range(self.image),
            labels=self.label,
            evaluations=evaluations,
            objective=self.misfit,
            facts=told | facts,
        )


def judged(seen: UpdateObservation, picture: Tensor, variance: Tensor, label: int, *, determined: bool) -> Answer:
    """The answer `picture` `(C, H, W)`. `determined`: there is no other one that explains the update."""
    image, labels = picture[None].float().to(seen.device), torch.tensor([label], device=seen.device)
    blurred = len(seen.public.defenses) > 1 and stack_of(seen.public).hides_scale  # noise blurs the hidden factor
    update = simulated(seen, image, labels)
    agrees = explains(seen, update)
    certified = determined and not blurred and agrees
    return Answer(image, variance, labels, misfit(seen, update), agrees, certified)


def explains(seen: UpdateObservation, update: Update | None) -> bool:
    """Whether a guess's `simulated` update is the one seen, within rounding and declared noise."""
    squares, count = squared_residual(seen, update, error=_SAME)
    allowed = 1 + _CHANCE / math.sqrt(max(count, 1)) if seen.public.defenses else _AGREES
    return squares / max(count, 1) <= min(allowed, _AGREES)


def _decibels(variance: Tensor, std: tuple[float, ...]) -> float:
    """The PSNR that the posterior's variance `(C, H, W)` of a normalised picture promises, at most 100 dB."""
    error = float((variance * variance.new_tensor(std).reshape(-1, 1, 1).square()).mean())
    return min(100.0, -10 * math.log10(max(error, 1e-10)))
