"""Differential privacy: what a stack of defences guarantees, and how far that lets anybody reconstruct.

`rounds.py`: of what clients share. `trainings.py`: of trained weights. `reconstruction.py`: the bound on reconstruction
that follows. `audit.py`: what an audit proves that a mechanism does not keep. A guarantee is of a whole stack, for the
order of its steps decides; where none holds, the reason in words stands in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from invbench.defenses import Defense

Named = Sequence[tuple[str, Defense]]
"""A stack's defences with their names, in order."""


@dataclass(frozen=True)
class Steps:
    """What one record adds to the observations of all steps.

    In each of `steps` steps it takes part with probability `rate`, and then moves the mean of Gaussian noise by at most
    one over `noise` standard deviations.
    """

    noise: float
    rate: float = 1.0
    steps: int = 1


@dataclass(frozen=True)
class Guarantee:
    """(epsilon, delta)-differential privacy. `how`: mechanism, accountant and neighbours, in words.

    `record`: what of one record is seen, where the noise is Gaussian.
    """

    epsilon: float
    delta: float
    how: str
    record: Steps | None = None

    def __str__(self) -> str:
        at = f" at delta {self.delta:g}" if self.delta else ""
        return f"epsilon {self.epsilon:.4g}{at}: {self.how}"
