"""What a cell's defences guarantee, as limits of its record and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from invbench.cell import Cell
from invbench.core.training import Training
from invbench.defenses import Context
from invbench.games import Scores
from invbench.privacy import Guarantee, Named
from invbench.privacy.reconstruction import Bound, reconstruction_bound
from invbench.privacy.rounds import guarantee_of_round
from invbench.privacy.trainings import guarantee_of_training
from invbench.scoring.computing import computed
from invbench.victims import stack_of


@dataclass(frozen=True)
class Guaranteed:
    """A guarantee, or why there is none; nothing to say where there is no defence.

    `candidates`: among how many equally likely records the cell's own question is, if it is such a question.
    """

    found: Guarantee | str
    candidates: int | None = None

    @property
    def bound(self) -> Bound | None:
        """On how likely the right one of the candidates is named."""
        if isinstance(self.found, str) or self.found.record is None or not self.candidates or self.candidates < 2:
            return None
        return reconstruction_bound(1 / self.candidates, self.found.record)

    def limits(self, cell: Cell) -> Scores:
        """`epsilon` and `limit_rero`, one value a target, the same for all; none where nothing is guaranteed."""
        if isinstance(self.found, str):
            return {}
        offered: dict[str, object] = {"guaranteed": np.array([self.found.epsilon])}
        if self.bound is not None:
            offered["reconstruction"] = np.array([self.bound.value])
        return {name: [list(values)] * cell.targets for name, values in computed(cell.game, offered).items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """The guarantee in words, or why there is none."""
        if isinstance(self.found, str):
            return (f"no epsilon: {self.found}",) if self.found else ()
        return (str(self.found), *self.bound_notes)

    @property
    def bound_notes(self) -> tuple[str, ...]:
        """The bound alone, where the guarantee has been told (`training_notes`)."""
        return (f"limit_rero {self.bound} with a prior of 1/{self.candidates}",) if self.bound else ()


def of_round(stack: Named, candidates: int | None = None, rounds: int = 1) -> Guaranteed:
    """Of what a client behind this stack shares in so many rounds."""
    if not stack:
        return Guaranteed("")
    return Guaranteed(_finite(guarantee_of_round(stack, rounds)), candidates)


def of_training(cell: Cell, training: Training, candidates: int | None = None) -> Guaranteed:
    """Of weights that were trained as the cell's defences make of this training."""
    stack = stack_of(cell)
    if not stack.acts("training"):
        return Guaranteed("", candidates)
    defended = stack.only(frozenset({"training"})).at("training", training, Context(torch.Generator()))
    if defended.private is None:
        return Guaranteed("", candidates)
    named = [(choice.name, defense) for choice, defense in zip(cell.defense or (), stack.defenses, strict=True)]
    return Guaranteed(_finite(guarantee_of_training(named, defended)), candidates)


def _finite(found: Guarantee | str) -> Guarantee | str:
    if isinstance(found, str) or math.isfinite(found.epsilon):
        return found
    return f"there is so little noise that epsilon is above 450 ({found.how})"
