"""Gradient matching inside a generator: GIAS (Jeon et al. 2021, NeurIPS, arXiv 2110.14962) and GIFD (Fang et al. 2023,
ICCV, arXiv 2308.04699)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.func import vmap

from invbench.inversion.decoder import Decoder, trained_decoder, without_pictures
from invbench.inversion.decoder import Recipe as Training
from invbench.matching.answers import Found, best_of, nothing_yet, take_better
from invbench.matching.ball import within_balls
from invbench.matching.lanes import Tracker, run_in_chunks
from invbench.matching.outcome import Outcome
from invbench.matching.problem import Problem
from invbench.matching.recipe import Rebuilt, Recipe, scale_of
from invbench.matching.searched import Parametrisation
from invbench.observation import Preparation, Public, UpdateObservation
from invbench.registry import attack, parameter

CODE = "code"


@attack(game="update", controls=("noise",))
@dataclass(frozen=True, kw_only=True)
class Generator(Recipe):
    """min 1 - cos(g(x), G) + tv TV(x) over the codes of a generator's pictures x, then over what lies behind the codes.

    The generator trains on the attacker's own pictures (protocol setting `public`). `search: latent` stops at codes.
    `weights` goes on, from the best codes, in the generator's weights, a copy of them for each picture (GIAS).
    `layers` goes on in what is fed to its second stage, then to its third, ..., each within an l1 ball around where the
    last search ended (GIFD). The answer is the search that ended with the least distance of the updates, so none is
    worse by that than the codes alone.

    The papers take StyleGAN2 or BigGAN of millions of pictures; here a small variational autoencoder, so radii are
    shares of a start's length and their decibels are no yardstick. GIAS: rates 3e-2 and 1e-3, TV 1e-6. GIFD's code
    returns the last restart whatever its distance; here the best. A study (2503.11514) found such a search to make the
    same pictures of noise in the gradient's place: so control `noise` always runs beside it.
    """

    iterations: int = parameter(1000, at_least=1, help="optimiser steps of one search; a step is one evaluation")
    restarts: int = parameter(4, at_least=1, help="starts of the codes; the best alone goes on")
    lr: float = parameter(0.03, above=0, help="step size of codes, and of what is fed to a stage")
    weight_lr: float = parameter(1e-3, above=0, help="search: weights: their step size")
    tv: float = parameter(1e-4, at_least=0, help="weight of total variation (mean |dx| + mean |dy|, normalised space)")
    optimizer: Literal["adam", "signed-adam"] = parameter("adam", help="how a lane is minimised")
    boxed: Literal[True] = parameter(True, help="the generator ends in a sigmoid: its pictures are in range by nature")
    start: Literal["normal"] = parameter(
        "normal", help="codes start standard normal, and label logits where they are sought"
    )
    search: Literal["latent", "layers", "weights"] = parameter(
        "layers", help="where the search goes on after the codes"
    )
    layers: int = parameter(2, at_least=1, help="search: layers: how many, from the generator's second stage on")
    radius: float = parameter(
        0.3, at_least=0, help="search: layers: radius of a picture's l1 ball, as a share of its start's l1 length"
    )
    prior: float = parameter(0.0, at_least=0, help="weight of a code's mean squared number, averaged over pictures")
    latent: int = parameter(32, at_least=1, help="numbers of a code")
    width: int = parameter(32, at_least=1, help="maps of each of the generator's layers")
    training_steps: int = parameter(
        2000, at_least=1, unit="steps", help="of the generator's training, 32 pictures each"
    )

    def unsupported(self, public: Public) -> str | None:
        if (why := without_pictures(public)) is not None:
            return why
        there = self._decoder(public).stages - 1
        if self.search == "layers" and self.layers > there:
            return f"layers: {self.layers}: for pictures of this size its generator has {there} after the codes"
        return super().unsupported(public)

    def preparations(self, public: Public) -> Mapping[str, Preparation]:
        return trained_decoder(public, self._training)

    @property
    def _training(self) -> Training:
        return Training(latent=self.latent, width=self.width, steps=self.training_steps)

    def _decoder(self, public: Public) -> Decoder:
        return Decoder(self._training, public.image_shape)

    def _searched(self, group: Sequence[UpdateObservation]) -> Parametrisation | None:
        """The codes, one a picture."""
        first, decoder = group[0], self._decoder(group[0].public)
        count, weights = first.public.pictures, _weights(first)
        mean, std = first.channel_constants()
        return Parametrisation(
            size=count * self.latent,
            pictures=lambda codes, _: (decoder.run(weights, codes.reshape(count, -1)) - mean) / std,
            start=lambda drawn: torch.randn(count * self.latent, generator=drawn),
            cost=(lambda codes: self.prior * codes.square().mean()) if self.prior else None,
        )

    def _refined(
        self, found: Found, group: Sequence[UpdateObservation], tracker: Tracker, rebuilt: Rebuilt
    ) -> Sequence[Found]:
        """The searches that follow the codes', each from where the last one ended; of each target the best of all."""
        ends = [dataclasses.replace(found, facts={"search": CODE})]
        if self.search == "weights":
            ends.append(self._in_weights(ends[-1], group, tracker, rebuilt))
        elif self.search == "layers":
            for stage in range(1, self.layers + 1):
                ends.append(self._in_layer(stage, ends[-1], group, tracker, rebuilt))
        return [best_of(ends, target) for target in range(len(group))]

    def _in_weights(self, last: Found, group: Sequence[UpdateObservation], tracker: Tracker, rebuilt: Rebuilt) -> Found:
        """Each picture's own copy of the generator; the codes stay as they are."""
        first, decoder = group[0], self._decoder(group[0].public)
        count, weights = first.public.pictures, _weights(first)
        mean, std = first.channel_constants()
        codes = _numbers(last).reshape(len(group), count, -1)

        def pictures(copies: Tensor, beside: tuple[Tensor, ...]) -> Tensor:
            made: Tensor = vmap(lambda own, code: decoder.run(own, code[None])[0])(copies.reshape(count, -1), beside[0])
            return (made - mean) / std

        searched = Parametrisation(count * decoder.size, pictures, None, (codes,))
        starts = weights.repeat(len(group), count)
        slower = dataclasses.replace(self, lr=self.weight_lr)
        return slower._further("weights", searched, starts, last, group, tracker, rebuilt)

    def _in_layer(
        self, stage: int, last: Found, group: Sequence[UpdateObservation], tracker: Tracker, rebuilt: Rebuilt
    ) -> Found:
        """What is fed to a stage, each picture's within a ball around what the last search fed to it."""
        first, decoder = group[0], self._decoder(group[0].public)
        count, weights, shape = first.public.pictures, _weights(first), decoder.shape(stage)
        mean, std = first.channel_constants()
        before = (-1, self.latent) if stage == 1 else (-1, *decoder.shape(stage - 1))
        with torch.no_grad():
            fed = decoder.run(weights, _numbers(last).reshape(before), stage - 1, stage)
        searched = Parametrisation(
            size=count * math.prod(shape),
            pictures=lambda maps, _: (decoder.run(weights, maps.reshape(count, *shape), stage) - mean) / std,
            start=None,
        )
        starts = fed.reshape(len(group), -1)
        return self._further(f"layer {stage}", searched, starts, last, group, tracker, rebuilt, count)

    def _further(
        self,
        name: str,
        searched: Parametrisation,
        starts: Tensor,
        last: Found,
        group: Sequence[UpdateObservation],
        tracker: Tracker,
        rebuilt: Rebuilt,
        balls: int = 0,
    ) -> Found:
        """One more search of each target from these numbers `(targets, size)`; labels and scale go on as they were.

        `balls`: into how many parts of a lane's numbers, each in a ball of its own; 0: nothing holds them.
        """
        problem, targets = rebuilt(searched), torch.arange(len(group))
        others = last.best.lane.variables[:, last.problem.pixels :]
        tolerance = self.converged * scale_of(problem, self.objective)
        stop = torch.full_like(tolerance, -torch.inf) if self.finish else tolerance
        own = Tracker(self.iterations, len(group), self._chunk(group[0], searched))

        def minimise(problem: Problem, start: Tensor, stop: Tensor) -> Outcome:
            confine = within_balls(start[:, : searched.size], balls, self.radius) if balls else None
            return self._minimiser(own, confine=confine)(problem, start, stop)

        ran = run_in_chunks(minimise, problem, targets, torch.cat([starts, others], dim=1), stop, own)
        tracker.split.update(own.split)
        best = take_better(nothing_yet(problem, len(group)), targets, ran.judged(tolerance) if self.converged else ran)
        return Found(problem, best, {"search": name})


def _weights(seen: UpdateObservation) -> Tensor:
    return seen.prepared["generator"]["weights"].to(seen.device)


def _numbers(found: Found) -> Tensor:
    """What the best lane of each target varied, `(targets, size)`, without labels and scale."""
    return found.best.lane.variables[:, : found.problem.pixels]
