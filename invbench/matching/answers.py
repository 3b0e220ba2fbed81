"""Each target's best lane, by the attacker's own objective, and the guess it makes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from invbench.matching.outcome import Outcome
from invbench.matching.problem import Problem
from invbench.observation import Guess, UpdateObservation


def nothing_yet(problem: Problem, targets: int) -> Outcome:
    """What is known of targets before any lane ran."""
    device = problem.lower.device
    return Outcome(
        variables=torch.zeros(targets, problem.size, device=device),
        objective=torch.full((targets,), torch.inf, device=device),
        evaluations=torch.zeros(targets, dtype=torch.int64),
        diverged=torch.ones(targets, dtype=torch.bool, device=device),
        converged=torch.zeros(targets, dtype=torch.bool, device=device),
    )


def take_better(best: Outcome, targets: Tensor, new: Outcome) -> Outcome:
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


def guess_of(problem: Problem, best: Outcome, index: int, seen: UpdateObservation, notes: Sequence[str] = ()) -> Guess:
    """The best lane of target `index` as a guess."""
    here = slice(index, index + 1)
    lane = problem.only(torch.tensor([index], device=problem.lower.device))
    objective = float(best.objective[index])
    return Guess(
        images=seen.to_unit_range(lane.images(best.variables[here])[0]),
        labels=lane.guessed_labels(best.variables[here])[0],
        evaluations=int(best.evaluations[index]),
        diverged=bool(best.diverged[index]),
        objective=objective if objective < float("inf") else None,
        notes=tuple(notes),
    )
