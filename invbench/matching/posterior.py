"""The most likely pictures behind declared noise: likelihood of what is sent times a Gaussian prior, both as they are.

    minimise  1/2 sum_i (u_i - sent(x)_i)^2 / v_i + 1/2 |z|^2 + 1/2 |x - box(x)|^2 / w^2,    x = m + L z

u is the update seen, v_i the variance of its noise, sent the client behind the smooth steps before that noise
(`updates/noisy.py`), x the pictures under their prior (`matching/prior.py`), box(x) the nearest that a picture can be.
Objectives that weigh a distance against total variation by a fixed number cannot be right at two strengths of noise:
too little noise is fitted to, or too much smoothed away.

Which prior is right the update itself tells: a fifth of its entries is held out, the search under each prior sees the
others, and the prior under which what was held out is predicted best is taken (Stone 1974). Noise is independent from
entry to entry, so what fits noise predicts nothing. No truth is needed, and no constant.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.core.attack import UpdateAttack
from invbench.matching.lanes import Tracker, run_in_chunks
from invbench.matching.outcome import Outcome, Stop, counted
from invbench.matching.prior import Prior
from invbench.matching.problem import Problem
from invbench.matching.whitened import Lane, missed, problem_of
from invbench.matching.wolfe import lbfgs_wolfe
from invbench.observation import Guess, UpdateObservation

_MEMORY = 50  # pairs of L-BFGS
_CHUNK_NUMBERS = 20_000_000  # most gradient numbers of a chunk of lanes, each with a weight beside it


@dataclass(frozen=True, kw_only=True)
class PosteriorSearch(UpdateAttack):
    """`trying` evaluations with a part held out under each of `priors`, then `iterations` of each start by all.

    The two starts are where the best of the former ended and the likeliest pictures that are known already. It serves
    where `whitened.plain_noise` is not None.
    """

    priors: tuple[Prior, ...]
    trying: int
    iterations: int
    lanes: int = 16

    def trial(self) -> tuple[PosteriorSearch, float]:
        """Two steps under one prior and one of all; the whole takes at most this many times longer."""
        short = dataclasses.replace(self, priors=self.priors[:1], trying=2, iterations=1)
        return short, (len(self.priors) * (self.trying + 1) + 2 * (self.iterations + 1)) / 5

    def attack_all(self, observations: Sequence[UpdateObservation]) -> list[Guess]:
        return self.search(observations, [None] * len(observations))

    def search(self, observations: Sequence[UpdateObservation], known: Sequence[Guess | None]) -> list[Guess]:
        """A guess for each observation of one global model; `known`: the likeliest pictures so far, if there are any.

        Each guess names its `prior`.
        """
        if not observations:
            return []
        lanes = [Lane.of(seen) for seen in observations]
        tried = [
            self._run(prior, lanes, [lane.start for lane in lanes], self.trying, held=True) for prior in self.priors
        ]
        guesses: dict[int, Guess] = {}
        chosen = [self._best(lane, [run.variables[k] for run in tried]) for k, lane in enumerate(lanes)]
        for index, prior in enumerate(self.priors):
            starts = [(k, tried[index].variables[k]) for k, one in enumerate(chosen) if one == index]
            for k, _ in list(starts):
                if (guess := known[k]) is not None:
                    starts.append((k, lanes[k].variables(prior, guess)))
            if not starts:
                continue
            run = self._run(
                prior, [lanes[k] for k, _ in starts], [one for _, one in starts], self.iterations, held=False
            )
            for k in dict.fromkeys(k for k, _ in starts):
                ends = [place for place, (target, _) in enumerate(starts) if target == k]
                guesses[k] = _guess(prior, lanes[k], run, ends, [(one, k) for one in tried])
        return [guesses[k] for k in range(len(lanes))]

    def _best(self, lane: Lane, ends: Sequence[Tensor]) -> int:
        """Which prior predicts what was held out best."""
        left = [missed(prior, lane, variables) for prior, variables in zip(self.priors, ends, strict=True)]
        return left.index(min(left))

    def _run(
        self, prior: Prior, lanes: Sequence[Lane], starts: Sequence[Tensor], iterations: int, *, held: bool
    ) -> Outcome:
        """Where each lane ended."""
        chunk = max(1, min(self.lanes, _CHUNK_NUMBERS // sum(tensor.numel() for tensor in lanes[0].weights)))
        tracker = Tracker(iterations, len(lanes), chunk)

        def minimise(problem: Problem, start: Tensor, tolerance: Tensor) -> Outcome:
            return lbfgs_wolfe(
                problem,
                start,
                iterations=iterations,
                memory=_MEMORY,
                patience=iterations + 1,  # most of a likelihood is noise, which no search lowers
                tolerance=tolerance,
                report=tracker.at,
            )

        start = torch.stack(list(starts))
        never = torch.full((len(lanes),), -torch.inf, device=start.device)
        problem = problem_of(prior, lanes, (iterations + 1) * -(-len(lanes) // chunk), held=held)
        return run_in_chunks(minimise, problem, torch.arange(len(lanes)), start, never, tracker)


def _guess(prior: Prior, lane: Lane, run: Outcome, ends: Sequence[int], tried: Sequence[tuple[Outcome, int]]) -> Guess:
    """The better of a target's `ends`, with the work of all searches of it."""
    index = min(ends, key=lambda k: (bool(run.diverged[k]), float(run.objective[k])))
    images, labels = lane.pictures(prior, run.variables[index])
    value = float(run.objective[index])
    each = [*tried, *((run, k) for k in ends)]
    stopped = Counter(Stop(int(one.stopped[k])) for one, k in each)
    return Guess(
        images=lane.seen.to_unit_range(images),
        labels=labels if lane.labels is not None else labels.argmax(dim=1),
        evaluations=sum(int(one.evaluations[k]) for one, k in each),
        diverged=bool(run.diverged[index]),
        objective=value if value < float("inf") else None,
        facts={"prior": prior.name},
        stopped=counted(list(stopped.elements())),
    )
