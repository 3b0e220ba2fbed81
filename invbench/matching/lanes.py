"""Many lanes in chunks, one after the other; a chunk for which memory does not suffice goes on in halves."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable

import torch
from torch import Tensor

from invbench.core import progress
from invbench.core.memory import is_out_of_memory
from invbench.matching.outcome import Outcome
from invbench.matching.problem import Problem

Minimise = Callable[[Problem, Tensor, Tensor], Outcome]
"""From a problem, the lanes' starts `(L, D)` and their tolerances `(L,)`."""

_CHUNK_NUMBERS = 50_000_000
"""Most gradient numbers that one chunk of lanes holds at once (200 MB): a rule of the cell, not of the machine."""


def chunk_of(lanes: int, numbers: int) -> int:
    """How many lanes run at once, at most `lanes`, where each has an update of so many numbers."""
    return max(1, min(lanes, _CHUNK_NUMBERS // numbers))


class Tracker:
    """Evaluations done of those planned, told to whoever listens; which targets' lanes were split, from how many."""

    def __init__(self, iterations: int, planned: int, chunk: int) -> None:
        self.iterations, self.planned, self.chunk = iterations, planned, chunk
        self.lanes_done = 0
        self.running = 0
        self.split: dict[int, int] = {}

    def at(self, iteration: int, objective: float) -> None:
        done = self.lanes_done * self.iterations + iteration * self.running
        progress.report("attack", done, self.planned * self.iterations, objective)


def run_in_chunks(
    minimise: Minimise, problem: Problem, targets: Tensor, starts: Tensor, tolerance: Tensor, tracker: Tracker
) -> Outcome:
    """Lane i starts at `starts[i]` for target `targets[i]`; `problem` and `tolerance` have one entry a target."""
    outcomes = []
    for begin in range(0, len(targets), tracker.chunk):
        end = begin + tracker.chunk
        outcomes += _halving(minimise, problem, targets[begin:end], starts[begin:end], tolerance, tracker)
    return Outcome(*(torch.cat([getattr(o, f.name) for o in outcomes]) for f in dataclasses.fields(Outcome)))


def _halving(
    minimise: Minimise, problem: Problem, targets: Tensor, starts: Tensor, tolerance: Tensor, tracker: Tracker
) -> list[Outcome]:
    """The lanes together, or from their starts again in halves; one lane that is too large is an error."""
    on_device = targets.to(starts.device)
    tracker.running = len(targets)
    try:
        outcome = minimise(problem.only(on_device), starts, tolerance[on_device])
    except Exception as error:
        if not is_out_of_memory(error) or len(targets) == 1:
            raise
    else:
        tracker.lanes_done += len(targets)
        return [outcome]
    _give_back(starts.device)  # here, where the error and with it the frames that hold tensors are gone
    for target in targets.tolist():
        tracker.split.setdefault(target, len(targets))
    half = (len(targets) + 1) // 2
    parts = (slice(None, half), slice(half, None))
    return [o for part in parts for o in _halving(minimise, problem, targets[part], starts[part], tolerance, tracker)]


def _give_back(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
