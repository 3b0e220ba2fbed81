"""What can be said of an answer without the truth: whether it explains the update, and whether another could."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from invbench.observation import Guess, UpdateObservation
from invbench.updates.likelihood import Simulated, misfit, simulated, squared_residual
from invbench.updates.simulation import stack_of

_SAME = 1e-4
"""Relative error within which a simulated update is the one seen, beside the declared noise.

Float32 leaves sqrt(n / 3) 2^-24 of it (`updates/arithmetic.py`), 2e-6 for a LeNet and 1e-5 for sums of 100,000 terms:
whether the truth explains its update does not depend on the processor. The exception is a network that is so sure that
4 * 2^-24 / |p - y| exceeds it (p above 0.998). There the truth may be refused; what is refused is not certified.
"""

_AGREES, _CHANCE = 2.0, 8.0
"""Largest misfit of an answer that explains an update with that error; where noise is declared, what chance allows:
1 at the truth, give or take sqrt(2) (Gaussian) to sqrt(5) (Laplace) over the root of the number of entries."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A picture `(1, C, H, W)`, normalised, its posterior variance `(C, H, W)`, its label `(1,)`.

    `misfit`: of the simulated update, beside what any processor may round. `residual`: the same beside a relative
    error of `_SAME`. `explains`: whether that is within rounding and declared noise. `certified`: it explains the
    update and nothing else does.
    """

    image: Tensor
    variance: Tensor
    label: Tensor
    misfit: float
    residual: float
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
    residual, agrees = _compared(seen, update)
    certified = determined and not blurred and agrees
    return Answer(image, variance, labels, misfit(seen, update), residual, agrees, certified)


def explains(seen: UpdateObservation, update: Simulated | None) -> bool:
    """Whether a guess's `simulated` update is the one seen, within rounding and declared noise."""
    return _compared(seen, update)[1]


def _compared(seen: UpdateObservation, update: Simulated | None) -> tuple[float, bool]:
    """The mean weighted squared residual beside an error of `_SAME`, and whether that is one of rounding and noise."""
    squares, count = squared_residual(seen, update, error=_SAME)
    allowed = 1 + _CHANCE / math.sqrt(max(count, 1)) if seen.public.defenses else _AGREES
    residual = squares / max(count, 1)
    return residual, residual <= min(allowed, _AGREES)


def _decibels(variance: Tensor, std: tuple[float, ...]) -> float:
    """The PSNR that the posterior's variance `(C, H, W)` of a normalised picture promises, at most 100 dB."""
    error = float((variance * variance.new_tensor(std).reshape(-1, 1, 1).square()).mean())
    return min(100.0, -10 * math.log10(max(error, 1e-10)))
