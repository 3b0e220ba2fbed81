"""What an optimiser of many lanes gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Report = Callable[[int, float], None]
"""Told after every step: its number, and the mean objective of the lanes that still run."""


@dataclass(frozen=True)
class Outcome:
    """Where lanes ended: variables `(L, D)`; objective, evaluations, diverged and converged, each `(L,)`."""

    variables: Tensor
    objective: Tensor
    evaluations: Tensor  # on the CPU
    diverged: Tensor
    converged: Tensor


def at_start(start: Tensor) -> Outcome:
    """Lanes at `start` `(L, D)`, none of them evaluated yet."""
    return Outcome(
        variables=start.clone(),
        objective=torch.full_like(start[:, 0], torch.inf),
        evaluations=torch.zeros(len(start), dtype=torch.int64),
        diverged=torch.zeros(len(start), dtype=torch.bool, device=start.device),
        converged=torch.zeros(len(start), dtype=torch.bool, device=start.device),
    )
