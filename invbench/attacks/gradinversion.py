"""GradInversion (Yin, Mallya, Vahdat, Alvarez, Kautz and Molchanov 2021, CVPR, arXiv 2104.07586)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from invbench.matching.adam import Jitter
from invbench.matching.answers import Best, nothing_yet, take_better
from invbench.matching.group import as_it_is, by_shift, towards_consensus
from invbench.matching.lanes import Tracker
from invbench.matching.objectives import ObjectiveName
from invbench.matching.problem import Problem
from invbench.matching.recipe import Recipe, scale_of
from invbench.matching.terms import Term, of_differences, of_lengths, of_statistics
from invbench.observation import Public, UpdateObservation
from invbench.registry import attack, parameter

BEGIN, EVERY = 0.25, 0.005
"""Shares of the iterations after which restarts are first drawn together, and then again: 5,000 and 100 of 20,000."""


@attack(game="update")
@dataclass(frozen=True, kw_only=True)
class GradInversion(Recipe):
    """min gradient * sum_l |g_l - G_l| + tv TV(x) + l2 |x| + statistics R_BN(x) + group |x - E| (eq. 1 to 3, 9 to 12).

    Adam on the pixels, and after each step Gaussian noise times the rate (section 3.5). R_BN compares each BatchNorm
    layer's input with what the protocol tells of it: running statistics, or the batch's own (`matching/terms.py`). E is
    what all restarts agree on (`matching/group.py`). The answer is the restart whose update is nearest to the one seen.

    Weights, rates and counts are the published ones, of ImageNet at 224 pixels; Adam does not see their common size, so
    all are divided by `gradient`. The paper does not say how its priors are summed: TV and |x| are as in its authors'
    DeepInversion, whose weights are of this size. Registration by RANSAC-flow needs pretrained features: here pictures
    are shifted. Other code multiplies the first layer's R_BN by 10, or adds the noise to Adam's gradient, which divides
    it away: not so the paper.
    """

    iterations: int = parameter(20_000, at_least=1, help="optimiser steps of one start; a step is one evaluation")
    restarts: int = parameter(8, at_least=1, help="starts that are drawn together; the answer is the best of them")
    objective: ObjectiveName = parameter("layer-norms", help="distance of the simulated update from the one seen")
    optimizer: Literal["adam", "signed-adam", "lbfgs", "lbfgs-wolfe"] = parameter(
        "adam", help="how a lane is minimised; noise and consistency need adam, signed or not"
    )
    schedule: Literal["step", "cosine", "warm-cosine"] = parameter(
        "warm-cosine", help="Adam: how the step size falls, see inverting-gradients; warm: it first rises for 50 steps"
    )
    boxed: bool = parameter(False, help="keep pictures inside the range of real ones after every step")
    gradient: float = parameter(1e-3, above=0, help="weight of the distance of the updates")
    tv: float = parameter(1e-4, at_least=0, help="weight of total variation: norms of differences over the whole batch")
    l2: float = parameter(1e-6, at_least=0, help="weight of a normalised picture's norm")
    statistics: float = parameter(0.1, at_least=0, help="weight of the distance to BatchNorm's statistics")
    group: float = parameter(0.01, at_least=0, help="weight of the distance to what all restarts agree on")
    registration: Literal["shifts", "lazy"] = parameter(
        "shifts", help="how restarts are brought together: shifted onto their mean, or averaged as they are"
    )
    noise: float = parameter(0.2, at_least=0, help="standard deviation of the noise after a step, in its rates")

    def unsupported(self, public: Public) -> str | None:
        if (why := super().unsupported(public)) is not None:
            return f"{why}; `statistics: 0` goes without" if why.startswith("statistics") else why
        if self.optimizer not in ("adam", "signed-adam"):
            return f"optimizer: {self.optimizer}: its noise and its consistency are steps of adam"
        if not self.group:
            return None
        if self.labels == "joint":
            return "labels: joint: restarts that seek labels of their own agree on no order; `group: 0` goes without"
        if self.restarts < 2:
            return "restarts: one alone agrees with nobody; `group: 0` goes without"
        if self.restarts > self.lanes:
            return f"lanes: {self.lanes}: its {self.restarts} restarts run together; `group: 0` goes without"
        return None

    def _priors(self, seen: UpdateObservation) -> tuple[float, Sequence[Term]]:
        """Total variation of another kind than the engine's own, so that the engine's has no weight."""
        terms = [of_differences(self.tv / self.gradient), of_lengths(self.l2 / self.gradient)]
        if self.statistics:
            terms.append(of_statistics(self.statistics / self.gradient, seen))
        return 0.0, [term for term in terms if term.weight]

    def _search(self, problem: Problem, group: Sequence[UpdateObservation], tracker: Tracker) -> Best:
        """One target after the other: its restarts are one program, and see each other."""
        tolerance, best = self.converged * scale_of(problem, self.objective), nothing_yet(problem, len(group))
        begin, every = (max(1, round(share * self.iterations)) for share in (BEGIN, EVERY))
        register = by_shift if self.registration == "shifts" else as_it_is
        for target, seen in enumerate(group):
            lanes = torch.full((self.restarts,), target)
            own = problem.only(lanes.to(problem.lower.device))
            starts = torch.stack([self._start(problem, seen) for _ in range(self.restarts)])
            pull = None
            if self.group and own.labels is not None:
                weight = self.group / self.gradient
                pull = towards_consensus(own.image_shape, own.labels[0], weight, begin, every, register)
            tracker.running = self.restarts
            enough = tolerance[lanes.to(tolerance.device)]
            stop = torch.full_like(enough, -torch.inf) if self.finish else enough
            ran = self._minimiser(tracker, pull, self._jitter(seen, own))(own, starts, stop)
            tracker.lanes_done += self.restarts
            best = take_better(best, lanes, ran.judged(enough) if self.converged else ran)
        return best

    def _jitter(self, seen: UpdateObservation, problem: Problem) -> Jitter | None:
        """Standard normal noise on the pixels times `noise`; every lane draws its own, whoever runs beside it."""
        if not self.noise:
            return None
        seeds = torch.randint(2**62, (self.restarts,), generator=seen.generator).tolist()
        streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        logits = problem.size - problem.pixels

        def jitter(step: int, lanes: Tensor) -> Tensor:
            drawn = [torch.randn(problem.pixels, generator=streams[lane]) for lane in lanes.tolist()]
            return self.noise * pad(torch.stack(drawn), (0, logits)).to(problem.lower)

        return jitter
