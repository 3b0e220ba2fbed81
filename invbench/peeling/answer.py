"""What can be said of an answer without the truth: whether it explains the update, and whether another could."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from invbench.observation import Guess, UpdateObservation
from invbench.updates.likelihood import CHANCE, Simulated, left, misfit, simulated, squared_residual
from invbench.updates.simulation import stack_of

_SAME = 1e-4
"""Relative error within which a simulated update is the one seen, beside the declared noise.

Float32 leaves sqrt(n / 3) 2^-24 of it (`updates/arithmetic.py`), 2e-6 for a LeNet and 1e-5 for sums of 100,000 terms:
whether the truth explains its update does not depend on the processor. The exception is a network that is so sure that
4 * 2^-24 / |p - y| exceeds it (p above 0.998). There the truth may be refused; what is refused is not certified.
"""

_AGREES = 2.0
"""Largest misfit of an answer that explains an update with that error; where noise is declared, what chance allows."""

_SURE = 10.0
"""How many times its variance an error's square may be: that of a single direction is larger once in 600 times."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A picture `(1, C, H, W)`, normalised, its posterior variance `(C, H, W)`, its label `(1,)`.

    `misfit`: of the simulated update, beside what any processor may round. `residual`: the same beside a relative
    error of `_SAME`. `explains`: whether that is within rounding and declared noise. `certified`: it explains the
    update and nothing else does. `widened`: how many times larger than `variance` the picture's may be, by the
    processor and by an error that nobody declared, as large as the misfit which is left.
    """

    image: Tensor
    variance: Tensor
    label: Tensor
    misfit: float
    residual: float
    explains: bool
    certified: bool
    widened: float

    def guess(self, seen: UpdateObservation, evaluations: int, **facts: Any) -> Guess:
        """The answer, with whether it is `certified`, the `promised_psnr` that a certificate stands for (None without
        one), and the `predicted_psnr` of an answer that explains the update (None of another)."""
        variance, std = self.variance, seen.public.std
        told = {
            "certified": self.certified,
            "promised_psnr": _decibels(_SURE * self.widened * variance, std) if self.certified else None,
            "predicted_psnr": _decibels(variance, std) if self.explains else None,
        }
        return Guess(
            images=seen.to_unit_range(self.image),
            labels=self.label,
            evaluations=evaluations,
            objective=self.misfit,
            facts=told | facts,
        )


def judged(
    seen: UpdateObservation,
    picture: Tensor,
    variance: Tensor,
    label: int,
    *,
    widened: float,
    determined: Callable[[float], bool],
) -> Answer:
    """The answer `picture` `(C, H, W)`. `widened`: how many times larger variances may be on another processor.

    `determined(widened)`: whether no other answer explains the update where they are so many times larger; so many as
    the picture leaves more of the update than rounding and declared noise do.
    """
    image, labels = picture[None].float().to(seen.device), torch.tensor([label], device=seen.device)
    blurred = len(seen.public.defenses) > 1 and stack_of(seen.public).hides_scale  # noise blurs the hidden factor
    update = simulated(seen, image, labels)
    residual, agrees = _compared(seen, update)
    beside = left(seen, update)
    certified = agrees and not blurred and determined(widened * beside.excess)
    hidden = widened * beside.hidden(picture.numel())
    if update is not None and update.coarse:  # weights assume float32: what its rounding leaves is known to be more
        variance, hidden = (widened * variance).clamp(max=1.0), hidden / widened  # no more than the prior's
    return Answer(image, variance, labels, misfit(seen, update), residual, agrees, certified, hidden)


def explains(seen: UpdateObservation, update: Simulated | None) -> bool:
    """Whether a guess's `simulated` update is the one seen, within rounding and declared noise."""
    return _compared(seen, update)[1]


def _compared(seen: UpdateObservation, update: Simulated | None) -> tuple[float, bool]:
    """The mean weighted squared residual beside an error of `_SAME`, and whether that is one of rounding and noise."""
    squares, count = squared_residual(seen, update, error=max(_SAME, update.coarse if update else 0.0))
    allowed = 1 + CHANCE / math.sqrt(max(count, 1)) if seen.public.defenses else _AGREES
    residual = squares / max(count, 1)
    return residual, residual <= min(allowed, _AGREES)


def _decibels(variance: Tensor, std: tuple[float, ...]) -> float:
    """The PSNR that the posterior's variance `(C, H, W)` of a normalised picture promises, at most 100 dB."""
    error = float((variance * variance.new_tensor(std).reshape(-1, 1, 1).square()).mean())
    return min(100.0, -10 * math.log10(max(error, 1e-10)))
