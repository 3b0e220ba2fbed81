"""Each target's best lane, by the attacker's own objective, and the guess it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from invbench.matching.outcome import Outcome, Stop, counted
from invbench.matching.problem import Problem
from invbench.observation import Guess, Json, UpdateObservation

NO_FACTS: Mapping[str, Json] = {}


@dataclass(frozen=True)
class Best:
    """Each target's best lane so far, its evaluations those of all its lanes; and why each of these stopped."""

    lane: Outcome
    stopped: tuple[list[Stop], ...]


@dataclass(frozen=True)
class Found:
    """The best lanes of a problem's targets, and what is said of the one that they are answers to."""

    problem: Problem
    best: Best
    facts: Mapping[str, Json] = field(default_factory=dict)


def nothing_yet(problem: Problem, targets: int) -> Best:
    """What is known of targets before any lane ran: any lane is better."""
    device = problem.lower.device
    none = Outcome(
        variables=torch.zeros(targets, problem.size, device=device),
        objective=torch.full((targets,), torch.inf, device=device),
        evaluations=torch.zeros(targets, dtype=torch.int64),
        stopped=torch.full((targets,), Stop.DIVERGED, dtype=torch.uint8, device=device),
    )
    return Best(none, tuple([] for _ in range(targets)))


def take_better(best: Best, targets: Tensor, new: Outcome) -> Best:
    """Each target's best lane so far by its own objective; a lane that did not diverge beats one that did."""
    ours, diverged = best.lane, new.diverged.tolist()
    for lane, target in enumerate(targets.tolist()):
        ours.evaluations[target] += new.evaluations[lane]
        best.stopped[target].append(Stop(int(new.stopped[lane])))
        held = (int(ours.stopped[target]) == Stop.DIVERGED, float(ours.objective[target]))
        offered = (diverged[lane], float(new.objective[lane]))
        unset = held == (True, float("inf"))
        if unset or offered < held:
            ours.variables[target], ours.objective[target] = new.variables[lane], new.objective[lane]
            ours.stopped[target] = new.stopped[lane]
    return best


def best_of(ends: Sequence[Found], target: int) -> Found:
    """Of searches that followed each other the one whose end is best for a target, as `take_better` judges, the earlier
    of equals; its evaluations, and why lanes stopped, are those of all."""
    order = [(bool(end.best.lane.diverged[target]), float(end.best.lane.objective[target])) for end in ends]
    found = ends[order.index(min(order))]
    evaluations, stopped = found.best.lane.evaluations.clone(), list(found.best.stopped)
    evaluations[target] = sum(int(end.best.lane.evaluations[target]) for end in ends)
    stopped[target] = [why for end in ends for why in end.best.stopped[target]]
    return replace(found, best=Best(replace(found.best.lane, evaluations=evaluations), tuple(stopped)))


def guess_of(
    problem: Problem,
    best: Best,
    index: int,
    seen: UpdateObservation,
    notes: Sequence[str] = (),
    facts: Mapping[str, Json] = NO_FACTS,
) -> Guess:
    """The best lane of target `index` as a guess."""
    here = slice(index, index + 1)
    lane = problem.only(torch.tensor([index], device=problem.lower.device))
    variables, objective = best.lane.variables[here], float(best.lane.objective[index])
    return Guess(
        images=seen.to_unit_range(lane.images(variables)[0]),
        labels=lane.guessed_labels(variables)[0],
        evaluations=int(best.lane.evaluations[index]),
        diverged=bool(best.lane.diverged[index]),
        objective=objective if objective < float("inf") else None,
        notes=tuple(notes),
        facts=facts,
        stopped=counted(best.stopped[index]),
    )
