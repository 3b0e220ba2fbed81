"""Guesses at one person's sensitive attribute: how they are made of probabilities by value, checked and scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from invbench.games import Scores
from invbench.observation import AttributeGuess
from invbench.scoring.computing import computed

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def guess_of(values: Sequence[str], probabilities: Mapping[Any, float]) -> AttributeGuess:
    """The guess of probabilities by value, in the order of the values."""
    return AttributeGuess(probabilities=tuple(probabilities[value] for value in values))


def matrix_of(answers: Sequence[AttributeGuess], truth: Ints, values: Sequence[str]) -> Floats:
    """The answers' probabilities `(N, K)`; ValueError where they are not finite, or not one a value and a person."""
    shape = (len(truth), len(values))
    rows = [np.asarray(guess.probabilities, dtype=np.float64) for guess in answers]
    if len(rows) != shape[0] or any(row.shape != shape[1:] or not np.isfinite(row).all() for row in rows):
        raise ValueError(f"need {shape[0]} guesses of {shape[1]} finite probabilities each")
    return np.stack(rows)


def scored(game: str, probabilities: Floats, truth: Ints, also: Mapping[str, object] | None = None) -> Scores:
    """Every metric of the game that asks for `probabilities`, `truth` and what is there `also`, a value a person."""
    found = computed(game, {"probabilities": probabilities, "truth": truth, **(also or {})})
    return {metric: [[value] for value in values] for metric, values in found.items()}


def left_out(values: Sequence[str], truth: Sequence[int]) -> list[str]:
    """A note of the values that too few people have to be ranked."""
    absent = [value for k, value in enumerate(values) if list(truth).count(k) < 2]
    return [f"macro_auc leaves out what fewer than two of these people have: {', '.join(absent)}"] if absent else []
