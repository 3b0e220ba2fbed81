"""What a cell's defences guarantee, as limits of its record and in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

from invbench.cell import Cell
from invbench.core.training import Training
from invbench.defenses import Context
from invbench.games import Scores
from invbench.privacy import Guarantee, Named, Steps
from invbench.privacy.reconstruction import Bound, reconstruction_bound
from invbench.privacy.rounds import guarantee_of_round
from invbench.privacy.trainings import guarantee_of_training
from invbench.scoring.computing import computed
from invbench.victims import stack_of

Priors = tuple[tuple[float, ...], ...]
TOLD = "labels, and a guess for each picture, may name the right candidate by themselves"
LOUD = "so little noise bounds nothing"
UNDEFENDED = "BatchNorm's statistics of the batch are seen, on which no defence acts (batch_statistics)"


@dataclass(frozen=True)
class Guaranteed:
    """A guarantee, or why there is none; nothing to say where there is no defence.

    `priors`: of each target, how likely each of its records is named without any observation, in (0, 1], where the
    cell's own question is which of a few candidates it was.
    """

    found: Guarantee | str
    priors: Priors = ()

    @property
    def bounds(self) -> Mapping[float, Bound]:
        """On how likely the right candidate is named, by what is likely without any observation."""
        if isinstance(self.found, str) or (record := self.found.record) is None:
            return {}
        return {kappa: _bound(kappa, record) for kappa in sorted({one for target in self.priors for one in target})}

    def limits(self, cell: Cell) -> Scores:
        """`epsilon`, the same for all targets, and `limit_rero`, a target's mean; none where nothing is guaranteed."""
        if isinstance(self.found, str):
            return {}
        offered: dict[str, object] = {"guaranteed": np.full(cell.targets, self.found.epsilon)}
        if bounds := self.bounds:
            means = [sum(bounds[kappa].value for kappa in target) / len(target) for target in self.priors]
            offered["reconstruction"] = np.array(means)
        return {name: [[one] for one in values] for name, values in computed(cell.game, offered).items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """The guarantee in words, or why there is none."""
        if isinstance(self.found, str):
            return (f"no epsilon: {self.found}",) if self.found else ()
        return (str(self.found), *self.bound_notes)

    @property
    def bound_notes(self) -> tuple[str, ...]:
        """The bounds alone, where the guarantee has been told (`training_notes`)."""
        if not (found := list(self.bounds.items())):
            return ()
        (least, low), (most, high) = found[0], found[-1]
        if low.value == 1:
            return (f"limit_rero is empty: {TOLD if least == 1 else LOUD}",)
        if least == most:
            return (f"limit_rero {low} with a prior of {Fraction(least).limit_denominator(10_000)}",)
        return (f"limit_rero {low.value:.4g} to {high.value:.4g} with priors of {least:.3g} to {most:.3g}",)


def _bound(kappa: float, record: Steps) -> Bound:
    return reconstruction_bound(kappa, record) if kappa < 1 else Bound(1.0, 1.0, 1.0)


def of_round(stack: Named, priors: Priors = (), rounds: int = 1, batch_statistics: str = "before") -> Guaranteed:
    """Of what a client behind this stack shares in so many rounds, and of BatchNorm as its protocol says."""
    if not stack:
        return Guaranteed("")
    if batch_statistics != "before":
        return Guaranteed(UNDEFENDED)
    return Guaranteed(_finite(guarantee_of_round(stack, rounds)), priors)


def of_training(cell: Cell, training: Training, candidates: int | None = None) -> Guaranteed:
    """Of weights that were trained as the cell's defences make of this training.

    `candidates`: among how many, equally likely, a target's record is, where that is asked.
    """
    priors: Priors = ((1 / candidates,),) * cell.targets if candidates else ()
    stack = stack_of(cell)
    if not stack.acts("training"):
        return Guaranteed("", priors)
    defended = stack.only(frozenset({"training"})).at("training", training, Context(torch.Generator()))
    if defended.private is None:
        return Guaranteed("", priors)
    named = [(choice.name, defense) for choice, defense in zip(cell.defense or (), stack.defenses, strict=True)]
    return Guaranteed(_finite(guarantee_of_training(named, defended)), priors)


def _finite(found: Guarantee | str) -> Guarantee | str:
    if isinstance(found, str) or math.isfinite(found.epsilon):
        return found
    return f"there is so little noise that epsilon is above 450 ({found.how})"
