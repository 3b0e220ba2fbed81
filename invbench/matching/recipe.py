"""What the presets of gradient matching share: their settings, their lanes, the choice of an answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor

from invbench.core.attack import UpdateAttack
from invbench.labels import Strategy, label_strategy, read_labels
from invbench.matching.adam import Confine, Jitter, Pull, adam
from invbench.matching.answers import Best, Found, guess_of, nothing_yet, take_better
from invbench.matching.clients import assumed_order
from invbench.matching.declared import objective_for
from invbench.matching.lanes import Minimise, Tracker, chunk_of, run_in_chunks
from invbench.matching.lbfgs import lbfgs
from invbench.matching.objectives import Objective, ObjectiveName
from invbench.matching.problem import Problem, build_problem
from invbench.matching.scale import assumed_scale, fitted, found_scale, is_variable
from invbench.matching.searched import Parametrisation
from invbench.matching.terms import Term, of_statistics
from invbench.matching.wolfe import lbfgs_wolfe
from invbench.observation import Guess, Json, Public, UpdateObservation
from invbench.registry import parameter
from invbench.updates.moving import each_round
from invbench.updates.one_model import by_weights
from invbench.updates.statistics import why_no_statistics

Rebuilt = Callable[[Parametrisation], Problem]
"""The problem of the same targets in other variables."""


@dataclass(frozen=True, kw_only=True)
class Recipe(UpdateAttack):
    """A preset's parts. Presets override the defaults with their paper's."""

    iterations: int = parameter(4800, at_least=1, help="optimiser steps of one start; a step is one evaluation")
    restarts: int = parameter(1, at_least=1, help="starts; the answer is the one with the least objective")
    lr: float = parameter(0.1, above=0, help="step size")
    tv: float = parameter(0.0, at_least=0, help="weight of total variation (mean |dx| + mean |dy|, normalised space)")
    statistics: float = parameter(
        0.0,
        later=True,
        at_least=0,
        help="weight of the distance to BatchNorm's statistics, the batch's own where the protocol tells them",
    )
    objective: ObjectiveName = parameter(
        "cosine",
        help="distance of the simulated update from the one seen; declared: cosine, by the declared defences' rules",
    )
    optimizer: Literal["adam", "signed-adam", "lbfgs", "lbfgs-wolfe"] = parameter(
        "signed-adam", help="how a lane is minimised; lbfgs-wolfe searches along every line"
    )
    labels: Strategy = parameter("known", help="where labels come from")
    boxed: bool = parameter(True, help="keep pictures inside the range of real ones after every step")
    decay: bool = parameter(True, help="Adam: the step size falls, see `schedule`")
    schedule: Literal["step", "cosine", "warm-cosine"] = parameter(
        "step",
        later=True,
        help="Adam: how the step size falls: times 0.1 after 3/8, 5/8 and 7/8 of the iterations, or by half a cosine;"
        " warm: it first rises for 50 steps, or a tenth of them",
    )
    start: Literal["normal", "small"] = parameter(
        "normal", later=True, help="where a lane starts: standard normal pixels, or a tenth of them (nearly grey)"
    )
    plateau: int = parameter(
        0, later=True, at_least=0, help="Adam: stop a lane that so many steps improved by less than 1 % (0: never)"
    )
    memory: int = parameter(100, at_least=1, help="L-BFGS: pairs of steps and gradient changes kept")
    patience: int = parameter(
        200,
        at_least=1,
        help="L-BFGS: evaluations that must lower a lane's objective by a fifth, or it has come to rest",
    )
    converged: float = parameter(
        0.0, at_least=0, help="stop a lane, and its restarts, at this objective (l2: of the update's squared norm)"
    )
    finish: bool = parameter(
        False, later=True, help="a lane goes on below `converged`, until it rests or its iterations are spent"
    )
    simulate: bool = parameter(
        True, later=True, help="simulate the client's local steps; false takes its update for one gradient"
    )
    scale: Literal["assumed", "fitted"] = parameter(
        "assumed",
        later=True,
        help="whether the client's loss is scaled as its protocol tells, or by a factor that is fitted",
    )
    lanes: int = parameter(16, at_least=1, help="most targets and restarts that run as one batched program")

    def unsupported(self, public: Public) -> str | None:
        if self.statistics and (why := why_no_statistics(public)) is not None:
            return f"statistics: {why}"
        return label_strategy(self.labels, public)[1]

    def trial(self) -> tuple[Self, float]:
        """Two steps of one start; the whole takes at most this many times longer."""
        short = dataclasses.replace(self, iterations=2, restarts=1, converged=0.0)
        return short, self.restarts * (self.iterations + 1) / 3

    def attack_all(self, observations: Sequence[UpdateObservation]) -> list[Guess]:
        """Targets and restarts as lanes; chunks of lanes follow each other in order."""
        guesses: list[Guess] = []
        for group in by_weights(observations):
            guesses += self._one_group(group)
        return guesses

    def _one_group(self, group: Sequence[UpdateObservation]) -> list[Guess]:
        strategy, _ = label_strategy(self.labels, group[0].public)
        read = read_labels(strategy, group)
        labels = [None] * len(group) if read is None else [one.labels for one in read]
        said = [()] * len(group) if read is None else [one.notes for one in read]
        searched = self._searched(group)
        lanes, chunk = len(group) * self.restarts, self._chunk(group[0], searched)
        planned = (self.iterations + 1) * -(-lanes // chunk)
        objective, public = self._objective(group[0]), group[0].public
        (tv, terms), fits = self._priors(group[0]), self.scale == "fitted"
        scaled = fits and is_variable(public, objective, self.simulate)
        said_of_all = (None if fits else assumed_scale(public, objective, self.simulate), assumed_order(public))
        objective = fitted(objective) if fits and not scaled else objective
        common = (objective, tv, self.boxed, planned, self.simulate, scaled, terms)
        problem = build_problem(group, labels, *common, searched)
        tracker = Tracker(self.iterations, lanes, chunk)
        found = Found(problem, self._search(problem, group, tracker))
        ends = self._refined(found, group, tracker, lambda other: build_problem(group, labels, *common, other))
        taken = [one for one in said_of_all if one]
        return [
            guess_of(
                end.problem,
                end.best,
                index,
                seen,
                [*said[index], *end.problem.programs.notes, *taken, *_split_note(tracker, index)],
                {**end.facts, **(self._scale(end, index, seen) if fits else {})},
            )
            for index, (seen, end) in enumerate(zip(group, ends, strict=True))
        ]

    def _scale(self, end: Found, index: int, seen: UpdateObservation) -> dict[str, Json]:
        return {"loss_scale": found_scale(end.problem, end.best.lane.variables, index, seen, self.simulate)}

    def _refined(
        self, found: Found, group: Sequence[UpdateObservation], tracker: Tracker, rebuilt: Rebuilt
    ) -> Sequence[Found]:
        """What is answered from, a target, where the search goes on in other variables; as it was found elsewhere."""
        return [found] * len(group)

    def _searched(self, group: Sequence[UpdateObservation]) -> Parametrisation | None:
        """What these targets' lanes vary in the place of pixels; None: the pixels themselves."""
        return None

    def _priors(self, seen: UpdateObservation) -> tuple[float, Sequence[Term]]:
        """The weight of mean total variation, and what else is added to the distance."""
        return self.tv, [of_statistics(self.statistics, seen)] if self.statistics else []

    def _search(self, problem: Problem, group: Sequence[UpdateObservation], tracker: Tracker) -> Best:
        """The best start of every target. With `converged` set, a target that converged starts no more."""
        tolerance = self.converged * scale_of(problem, self.objective)
        best = nothing_yet(problem, len(group))
        if not self.converged:  # every start is wanted: all are lanes at once, target by target
            starts = torch.stack([self._start(problem, seen) for seen in group for _ in range(self.restarts)])
            targets = torch.arange(len(group)).repeat_interleave(self.restarts)
            return take_better(
                best, targets, run_in_chunks(self._minimiser(tracker), problem, targets, starts, tolerance, tracker)
            )
        for _ in range(self.restarts):
            targets = torch.nonzero(~best.lane.converged.cpu()).flatten()
            if not len(targets):
                break
            starts = torch.stack([self._start(problem, group[int(t)]) for t in targets])
            stop = torch.full_like(tolerance, -torch.inf) if self.finish else tolerance
            ran = run_in_chunks(self._minimiser(tracker), problem, targets, starts, stop, tracker)
            best = take_better(best, targets, ran.judged(tolerance[targets.to(tolerance.device)]))
        return best

    def _objective(self, seen: UpdateObservation) -> Objective:
        """The distance that a search minimises; a preset whose paper has one of its own states it here."""
        return objective_for(self.objective, seen)

    def _minimiser(
        self,
        tracker: Tracker,
        pull: Pull | None = None,
        jitter: Jitter | None = None,
        confine: Confine | None = None,
    ) -> Minimise:
        """How lanes are minimised; `pull`, `jitter` and `confine` are Adam's (`adam.py`)."""
        common: dict[str, Any] = {"iterations": self.iterations, "report": tracker.at}
        memory: dict[str, Any] = {"memory": self.memory, "patience": self.patience}
        if self.optimizer == "lbfgs":
            return lambda problem, start, stop: lbfgs(problem, start, lr=self.lr, tolerance=stop, **memory, **common)
        if self.optimizer == "lbfgs-wolfe":
            return lambda problem, start, stop: lbfgs_wolfe(problem, start, tolerance=stop, **memory, **common)
        common |= {"lr": self.lr, "signed": self.optimizer == "signed-adam", "plateau": self.plateau}
        common |= {"pull": pull, "jitter": jitter, "confine": confine}
        schedule = self.schedule if self.decay else "none"
        return lambda problem, start, stop: adam(
            problem, start, schedule=schedule, tolerance=stop if self.converged else None, **common
        )

    def _start(self, problem: Problem, seen: UpdateObservation) -> Tensor:
        """Pictures (and label logits) `(D,)` from the attacker's own stream: standard normal, or a tenth of it; what is
        searched in the place of pixels starts by its own rule.

        Never all zero: a network without biases is dead there, and no slope leads away.
        """
        begin = None if problem.searched is None else problem.searched.start
        own = None if begin is None else begin(seen.generator).to(problem.lower.device)
        others = problem.size - problem.scaled - (0 if own is None else len(own))
        drawn = torch.randn(others, generator=seen.generator).to(problem.lower.device)
        start = drawn if self.start == "normal" else 0.1 * drawn
        start = start if own is None else torch.cat([own, start])
        return torch.cat([start, start.new_zeros(1)]) if problem.scaled else start

    def _chunk(self, seen: UpdateObservation, searched: Parametrisation | None = None) -> int:
        """How many lanes run at once: each holds an update's gradients, and of what is searched Adam's four copies."""
        own = 0 if searched is None else 4 * searched.size
        return chunk_of(self.lanes, own + sum(t.numel() for one in each_round(seen) for t in one.update))


def scale_of(problem: Problem, objective: str) -> Tensor:
    """What `converged` is a share of, `(targets,)`: the update's own size, squared or by layers; of relative ones 1."""
    by_tensor = torch.stack([t.flatten(1).square().sum(dim=1) for t in problem.seen])
    if objective == "layer-norms":
        return by_tensor.sqrt().sum(dim=0)
    squares = by_tensor.sum(dim=0)
    return squares if objective == "l2" else torch.ones_like(squares)


def _split_note(tracker: Tracker, target: int) -> list[str]:
    lanes = tracker.split.get(target)
    return [f"out of memory with {lanes} lanes at once: computed in smaller groups"] if lanes else []
