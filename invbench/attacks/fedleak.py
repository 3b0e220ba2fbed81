"""FedLeak (Fan, Wang, Chen and Zhou 2025, USENIX Security, arXiv 2506.08435): partial matching, regularised slopes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from invbench.matching.answers import Best
from invbench.matching.lanes import Tracker
from invbench.matching.objectives import Objective, cosine
from invbench.matching.problem import Evaluation, Problem
from invbench.matching.recipe import Recipe
from invbench.observation import Guess, Update, UpdateObservation
from invbench.registry import attack, parameter

HEAVY = 0.8
"""Of the entries that are matched, the share, by size in the update seen, whose direction is compared."""

Look = Literal["ahead", "up", "off"]


@attack(game="update", version=2)
@dataclass(frozen=True, kw_only=True)
class FedLeak(Recipe):
    """Of each tensor only the largest entries of the simulated update are matched, by mean |g - G| and 1 - cosine.

    A step follows (1 - blend) s(x) + blend s(x'), two evaluations. `look: ahead`, as the released code: s is the
    slope's sign and x' a step down from x, which keeps to directions that stay steep. `up`, as the text is also read:
    s is the slope and x' lies up the slope, which seeks flat places.

    The released code searches the weights of an untrained generator, filters its pictures by a median and shows, of all
    restarts, each picture's best by true PSNR; here pixels are searched, and the least objective is kept. The entries
    that are matched change from step to step, so the objective jumps: L-BFGS does not fit.
    """

    iterations: int = parameter(2400, at_least=1, help="optimiser steps of one start; a step is two evaluations")
    objective: Literal["cosine"] = parameter("cosine", help="of the entries that are matched, beside |g - G|")
    optimizer: Literal["adam", "signed-adam", "lbfgs", "lbfgs-wolfe"] = parameter(
        "adam", help="how a lane is minimised; the slopes that it is given may be signs already"
    )
    schedule: Literal["step", "cosine", "warm-cosine"] = parameter(
        "cosine", help="Adam: how the step size falls, see inverting-gradients"
    )
    tv: float = parameter(1e-5, at_least=0, help="weight of total variation (mean |dx| + mean |dy|, normalised space)")
    share: float = parameter(0.5, above=0, at_most=1, help="of each tensor's entries, the largest of which are matched")
    look: Look = parameter("ahead", help="where the second slope of a step is taken")
    blend: float = parameter(0.3, at_least=0, at_most=1, help="weight of that slope")
    reach: float = parameter(0.1, above=0, help="distance at which it is taken: of each pixel ahead, of all of them up")

    def attack_all(self, observations: Sequence[UpdateObservation]) -> list[Guess]:
        guesses = super().attack_all(observations)
        each = 1 if self.look == "off" else 2
        return [replace(one, evaluations=each * one.evaluations) for one in guesses]

    def _objective(self, seen: UpdateObservation) -> Objective:
        return partial(partly, self.share)

    def _search(self, problem: Problem, group: Sequence[UpdateObservation], tracker: Tracker) -> Best:
        if self.look == "off":
            return super()._search(problem, group, tracker)
        given = {field.name: getattr(problem, field.name) for field in fields(problem)}
        looking = Looking(**given, look=self.look, blend=self.blend, reach=self.reach)
        return super()._search(looking, group, tracker)


@dataclass(frozen=True, eq=False)
class Looking(Problem):
    """A problem whose slope is blended with the one at another place; see `FedLeak`."""

    look: Look = "ahead"
    blend: float = 0.0
    reach: float = 0.0

    def evaluate(self, variables: Tensor) -> Evaluation:
        here = super().evaluate(variables)
        if self.look == "ahead":
            slope = here.gradient.sign()
            there = super().evaluate(variables - self.reach * slope).gradient.sign()
        else:
            slope, size = here.gradient, here.gradient.norm(dim=1, keepdim=True)
            there = super().evaluate(variables + self.reach * slope / size.clamp(min=1e-30)).gradient
        there = torch.where(there.isfinite(), there, slope)
        return Evaluation(here.total, here.objective, (1 - self.blend) * slope + self.blend * there)


def partly(share: float, simulated: Update, seen: Update) -> Tensor:
    """Mean over the tensors of: mean |a - b| of its largest |a|, and 1 - cosine of those whose |b| is large, too.

    A tensor of which no entry b is above the rounding of the largest in the whole update does not count: a cosine of
    rounding errors is a number drawn at random. Such is a bias before a BatchNorm that takes the batch's own mean.
    """
    every = torch.stack([_of_tensor(share, a, b) for a, b in zip(simulated, seen, strict=True)])
    largest = torch.stack([b.abs().max() for b in seen])
    counts = ~(largest < torch.finfo(largest.dtype).eps * largest.max())  # so that NaN counts
    return torch.where(counts, every, 0.0).sum() / counts.sum()


def _of_tensor(share: float, simulated: Tensor, seen: Tensor) -> Tensor:
    a, b = simulated.flatten(), seen.flatten()
    matched = math.ceil(share * len(a))
    mask = _largest(a.detach().abs(), matched)
    heavy = mask & _largest(torch.where(mask, b.abs(), -1.0), math.ceil(HEAVY * matched))
    apart = torch.where(mask, (a - b).abs(), 0.0).sum() / matched
    return apart + cosine((torch.where(heavy, a, 0.0),), (torch.where(heavy, b, 0.0),))


def _largest(sizes: Tensor, count: int) -> Tensor:
    """Which entries of `(n,)` are at least as large as the `count` largest."""
    return sizes >= sizes.kthvalue(len(sizes) - count + 1).values
