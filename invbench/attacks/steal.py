"""Softmax regression read off its answers, then inverted (Tramer et al. 2016, arXiv 1609.02943, section 4.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from invbench.attacks import Attack
from invbench.inversion.descent import Descent
from invbench.observation import Inversion, ModelObservation, ModelPublic, Oracle
from invbench.registry import attack, parameter

CHUNK = 512
"""Pictures of one query batch: 21 MB at 112 x 92."""
GREY = 0.5
"""The picture around which is asked: there fewer confidences are near 0, whose logarithms are the least exact."""


@attack(game="model")
@dataclass(frozen=True, kw_only=True)
class Steal(Attack[ModelPublic, ModelObservation, Inversion]):
    """A `linear` model's weights, exactly, from d + 1 answers for d pixel values; then `mi-face` on the stolen model.

    log(p_i / p_j) = (w_i - w_j) x + b_i - b_j is linear in x: the answer to mid-grey gives the biases, the answer to
    mid-grey with one pixel turned white that pixel's weights, all up to a number common to all classes, which softmax
    does not see. Tramer et al. solve the same d + 1 equations at random x. One theft serves every class: what is asked
    does not depend on the class. Answers of 0, as rounded ones are, have no logarithm: such a weight is taken for 0.
    """

    step: float = parameter(0.1, above=0, help="length of a step of the inversion, as of mi-face")
    iterations: int = parameter(5000, at_least=1, unit="steps", help="of the inversion, at most")
    window: int = parameter(100, at_least=1, unit="steps", help="as of mi-face")
    confidence: float = parameter(0.99, above=0, at_most=1, help="stop where the stolen model is so certain")

    def unsupported(self, public: ModelPublic) -> str | None:
        if public.weights_granted:
            return f"asks the model, and protocol {public.protocol} grants its weights: there is nothing to steal"
        if public.answers != "confidences":
            return "needs confidences; the model answers labels alone"
        found = public.softmax_regression()
        if found is None:
            return f"needs softmax regression on pixels (linear), not {public.model}"
        needed = found[1].in_features + 1
        if public.queries is not None and public.queries < needed:
            return f"needs {needed:,} queries, one more than there are pixel values; the budget is {public.queries:,}"
        return None

    def attack_all(self, observations: Sequence[ModelObservation]) -> list[Inversion]:
        """The model is stolen once, from the first class's budget, and inverted for every class."""
        first = observations[0]
        assert first.oracle is not None
        stolen = steal(first.oracle, first.public.image_shape, first.device)
        if stolen.unknown == 1:
            why = "no answer has two confidences above 0: there is no equation to solve"
            return [replace(seen.nothing(why), evaluations=first.oracle.asked) for seen in observations]
        descent = Descent(step=self.step, iterations=self.iterations, window=self.window, confidence=self.confidence)
        targets = torch.tensor([seen.target for seen in observations], device=first.device)
        start = torch.stack([seen.mean_grey() for seen in observations])
        found = descent.run(stolen.scores, targets, start, lambda images: images.new_zeros(len(images)))
        note = "some confidences are answered as 0: weights without an equation are taken for 0"
        return [
            Inversion(
                image=one.image,
                weights=stolen.as_parameters(first),
                objective=one.cost,
                evaluations=first.oracle.asked,
                stopped={one.stopped: 1},
                facts={"queries": first.oracle.asked, "confidence": one.confidence, "unknown": stolen.unknown},
                notes=(note,) if stolen.unknown else (),
            )
            for one in found
        ]


@dataclass(frozen=True, eq=False)
class Stolen:
    """A softmax regression in float64: scores `base` `(K,)` at mid-grey, `slopes` `(K, d)` by pixel in [0, 1].

    `unknown`: the share of slopes that have no equation, because an answer is 0.
    """

    base: Tensor
    slopes: Tensor
    unknown: float

    def scores(self, images: Tensor) -> Tensor:
        return self.base + (images.flatten(1).double() - GREY) @ self.slopes.T

    def as_parameters(self, seen: ModelObservation) -> dict[str, Tensor]:
        """In the network's own terms: of normalised pixels, by parameter name."""
        named = seen.public.softmax_regression()
        assert named is not None
        mean, std = (c.expand(seen.public.image_shape).flatten().double() for c in seen.channel_constants())
        prefix = f"{named[0]}." if named[0] else ""
        weight, bias = self.slopes * std, self.base + self.slopes @ (mean - GREY)
        return {f"{prefix}weight": weight.float(), f"{prefix}bias": bias.float()}


def steal(oracle: Oracle, shape: tuple[int, int, int], device: torch.device) -> Stolen:
    """Ask mid-grey, then mid-grey with each pixel value in turn at 1."""
    size = math.prod(shape)
    grey = torch.full((1, size), GREY, device=device)
    base = oracle(grey.reshape(1, *shape)).double().log()[0]
    rows, unknown = [], 0
    for start in range(0, size, CHUNK):
        asked = grey.repeat(min(CHUNK, size - start), 1)
        places = torch.arange(len(asked), device=device)
        asked[places, start + places] = 1.0
        slope = (oracle(asked.reshape(-1, *shape)).double().log() - base) / (1 - GREY)
        known = slope.isfinite() & (slope.isfinite().sum(dim=1, keepdim=True) > 1)
        unknown += int((~known).sum())
        slope = torch.where(known, slope, 0.0)
        # Of what is common to all classes we are free to choose: the mean over those that are known is 0.
        shift = slope.sum(dim=1, keepdim=True) / known.sum(dim=1, keepdim=True).clamp(min=1)
        rows.append(torch.where(known, slope - shift, 0.0))
    finite = base.isfinite()
    base = torch.where(finite, base, base[finite].min() if bool(finite.any()) else 0.0)
    return Stolen(base - base.mean(), torch.cat(rows).T, unknown / (size * len(base)))
