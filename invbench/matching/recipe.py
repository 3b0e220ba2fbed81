"""What the presets of gradient matching share: their settings, their lanes, the choice of an answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor

from invbench import progress
from invbench.matching.adam import Outcome, adam
from invbench.matching.labels import label_strategy, labels_for
from invbench.matching.lbfgs import lbfgs
from invbench.matching.objectives import OBJECTIVES
from invbench.matching.problem import Problem, build_problem, same_weights
from invbench.observation import Guess, Public, UpdateObservation
from invbench.registry import parameter

_CHUNK_NUMBERS = 50_000_000
"""Most gradient numbers that one chunk of lanes holds at once (200 MB): a rule of the cell, not of the machine."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A preset's parts. Presets override the defaults with their paper's."""

    iterations: int = parameter(4800, at_least=1, help="optimiser steps of one start; a step is one evaluation")
    restarts: int = parameter(1, at_least=1, help="starts; the answer is the one with the least objective")
    lr: float = parameter(0.1, above=0, help="step size")
    tv: float = parameter(0.0, at_least=0, help="weight of total variation (mean |dx| + mean |dy|, normalised space)")
    objective: Literal["l2", "layer-l2", "cosine", "masked-cosine"] = parameter(
        "cosine", help="distance between the simulated update and the one seen"
    )
    optimizer: Literal["adam", "signed-adam", "lbfgs"] = parameter("signed-adam", help="how a lane is minimised")
    labels: Literal["known", "idlg", "joint"] = parameter("known", help="where labels come from")
    boxed: bool = parameter(True, help="keep pictures inside the range of real ones after every step")
    decay: bool = parameter(True, help="Adam: step size times 0.1 after 3/8, 5/8 and 7/8 of the iterations")
    memory: int = parameter(100, at_least=1, help="L-BFGS: pairs of steps and gradient changes kept")
    patience: int = parameter(
        200, at_least=1, help="L-BFGS: steps in which a lane's objective must fall by a fifth, or it has come to rest"
    )
    converged: float = parameter(
        0.0, at_least=0, help="stop a lane, and its restarts, at this objective (l2: of the update's squared norm)"
    )
    lanes: int = parameter(16, at_least=1, help="most targets and restarts that run as one batched program")

    def unsupported(self, public: Public) -> str | None:
        return label_strategy(self.labels, public)[1]

    def trial(self) -> tuple[Self, float]:
        """Two steps of one start; the whole takes at most this many times longer."""
        short = dataclasses.replace(self, iterations=2, restarts=1, converged=0.0)
        return short, self.restarts * (self.iterations + 1) / 3

    def attack_all(self, observations: Sequence[UpdateObservation]) -> list[Guess]:
        """Targets and restarts as lanes; chunks of lanes follow each other in order."""
        guesses: list[Guess] = []
        for group in _by_weights(observations):
            guesses += self._one_group(group)
        return guesses

    def _one_group(self, group: Sequence[UpdateObservation]) -> list[Guess]:
        strategy, _ = label_strategy(self.labels, group[0].public)
        labels = [labels_for(strategy, seen) for seen in group]
        problem = build_problem(group, labels, OBJECTIVES[self.objective], self.tv, self.boxed)
        tracker = _Tracker(self, len(group), self._chunk(group[0]))
        best = self._search(problem, group, tracker)
        return [_guess(problem, best, index, seen) for index, seen in enumerate(group)]

    def _search(self, problem: Problem, group: Sequence[UpdateObservation], tracker: _Tracker) -> Outcome:
        """The best start of every target. With `converged` set, a target that converged starts no more."""
        tolerance = self.converged * _scale(problem, self.objective)
        best = _nothing_yet(problem, len(group))
        if not self.converged:  # every start is wanted: all are lanes at once, target by target
            starts = torch.stack([_start(problem, seen) for seen in group for _ in range(self.restarts)])
            targets = torch.arange(len(group)).repeat_interleave(self.restarts)
            return _take_better(best, targets, self._run(problem, targets, starts, tolerance, tracker))
        for _ in range(self.restarts):
            targets = torch.nonzero(~best.converged.cpu()).flatten()
            if not len(targets):
                break
            starts = torch.stack([_start(problem, group[int(t)]) for t in targets])
            best = _take_better(best, targets, self._run(problem, targets, starts, tolerance, tracker))
        return best

    def _run(self, problem: Problem, targets: Tensor, starts: Tensor, tolerance: Tensor, tracker: _Tracker) -> Outcome:
        size = tracker.chunk
        outcomes = []
        for begin in range(0, len(targets), size):
            chunk = targets[begin : begin + size].to(starts.device)
            outcomes.append(
                self._minimise(problem.only(chunk), starts[begin : begin + size], tolerance[chunk], tracker)
            )
            tracker.finished(len(chunk))
        return Outcome(*(torch.cat([getattr(o, f.name) for o in outcomes]) for f in dataclasses.fields(Outcome)))

    def _minimise(self, problem: Problem, start: Tensor, tolerance: Tensor, tracker: _Tracker) -> Outcome:
        common: dict[str, Any] = {"iterations": self.iterations, "lr": self.lr, "report": tracker.at}
        if self.optimizer == "lbfgs":
            return lbfgs(problem, start, memory=self.memory, patience=self.patience, tolerance=tolerance, **common)
        return adam(problem, start, signed=self.optimizer == "signed-adam", decay=self.decay, **common)

    def _chunk(self, seen: UpdateObservation) -> int:
        size = sum(t.numel() for t in seen.update)
        return max(1, min(self.lanes, _CHUNK_NUMBERS // size))


class _Tracker:
    """Evaluations done of those planned, told to whoever listens."""

    def __init__(self, recipe: Recipe, targets: int, chunk: int) -> None:
        self.chunk = chunk
        self.lanes_done = 0
        self.iterations = recipe.iterations
        self.planned = targets * recipe.restarts

    def at(self, iteration: int, objective: float) -> None:
        running = min(self.chunk, self.planned - self.lanes_done)
        done = self.lanes_done * self.iterations + iteration * running
        progress.report("attack", done, self.planned * self.iterations, objective)

    def finished(self, lanes: int) -> None:
        self.lanes_done += lanes


def _by_weights(observations: Sequence[UpdateObservation]) -> list[list[UpdateObservation]]:
    """Consecutive observations of one global model together: their lanes share its weights."""
    groups: list[list[UpdateObservation]] = []
    for seen in observations:
        if groups and same_weights(groups[-1][0], seen):
            groups[-1].append(seen)
        else:
            groups.append([seen])
    return groups


def _start(problem: Problem, seen: UpdateObservation) -> Tensor:
    """Standard normal pictures (and label logits) `(D,)` from the attacker's own stream."""
    drawn = torch.randn(problem.size, generator=seen.generator)
    return drawn.to(problem.lower.device)


def _scale(problem: Problem, objective: str) -> Tensor:
    """What `converged` is a share of, `(targets,)`: l2's own size, the squared norm; the others are relative."""
    squares = torch.stack([t.flatten(1).square().sum(dim=1) for t in problem.seen]).sum(dim=0)
    return squares if objective == "l2" else torch.ones_like(squares)


def _nothing_yet(problem: Problem, targets: int) -> Outcome:
    device = problem.lower.device
    return Outcome(
        variables=torch.zeros(targets, problem.size, device=device),
        objective=torch.full((targets,), torch.inf, device=device),
        evaluations=torch.zeros(targets, dtype=torch.int64),
        diverged=torch.ones(targets, dtype=torch.bool, device=device),
        converged=torch.zeros(targets, dtype=torch.bool, device=device),
    )


def _take_better(best: Outcome, targets: Tensor, new: Outcome) -> Outcome:
    """Each target's best lane so far by its own objective; a lane that did not diverge beats one that did."""
    for lane, target in enumerate(targets.tolist()):
        best.evaluations[target] += new.evaluations[lane]
        ours = (bool(best.diverged[target]), float(best.objective[target]))
        theirs = (bool(new.diverged[lane]), float(new.objective[lane]))
        unset = ours == (True, float("inf"))
        if unset or theirs < ours:
            best.variables[target], best.objective[target] = new.variables[lane], new.objective[lane]
            best.diverged[target], best.converged[target] = new.diverged[lane], new.converged[lane]
    return best


def _guess(problem: Problem, best: Outcome, index: int, seen: UpdateObservation) -> Guess:
    here = slice(index, index + 1)
    lane = problem.only(torch.tensor([index], device=problem.lower.device))
    objective = float(best.objective[index])
    return Guess(
        images=seen.to_unit_range(lane.images(best.variables[here])[0]),
        labels=lane.guessed_labels(best.variables[here])[0],
        evaluations=int(best.evaluations[index]),
        diverged=bool(best.diverged[index]),
        objective=objective if objective < float("inf") else None,
    )
