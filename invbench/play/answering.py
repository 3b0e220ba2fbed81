"""An attack and its observations, answered: no cell, no game and no truth are needed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from invbench.core import execution
from invbench.core.attack import Attack
from invbench.core.execution import DEFAULT, Settings
from invbench.core.tidy import tidied
from invbench.observation import Observation

Known = TypeVar("Known")
Seen = TypeVar("Seen", bound=Observation[object])
Said = TypeVar("Said")


@dataclass(frozen=True, eq=False)
class Answers(Generic[Said]):
    """One answer an observation, in order; wall seconds of the attack, and of compiling its steps apart."""

    answers: list[Said]
    seconds: float
    compile_seconds: float


def answer(
    attack: Attack[Known, Seen, Said], observations: Sequence[Seen], settings: Settings = DEFAULT
) -> Answers[Said]:
    """What the attack answers.

    ValueError where it gives another number of answers than there are observations, or has replaced in this process
    what its answers would be scored with.
    """
    started = time.perf_counter()
    with execution.using(settings) as steps:
        answers = attack.attack_all(observations)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started - steps.compile_seconds
    tidied(f"attack {type(attack).__name__}")
    if not isinstance(answers, Sequence) or len(answers) != len(observations):
        given = f"{len(answers)} guesses" if isinstance(answers, Sequence) else f"a {type(answers).__name__}"
        raise ValueError(f"attack {type(attack).__name__} gave {given} for {len(observations)} observations")
    return Answers(list(answers), seconds, steps.compile_seconds)
