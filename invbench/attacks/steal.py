"""Softmax regression read off its answers, then inverted (Tramer et al. 2016, arXiv 1609.02943, section 4.1)."""

from __future__ import annotations

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


@attack(game="model")
@dataclass(frozen=True, kw_only=True)
class Steal(Attack[ModelPublic, ModelObservation, Inversion]):
    """A `linear` model's weights, exactly, from d + 1 answers for d pixel values; then `mi-face` on the stolen model.

    log(p_i / p_j) = (w_i - w_j) x + b_i - b_j is linear in x: the answer to mean grey, which the network sees as 0,
    gives the biases, the answer to it with one pixel changed that pixel's weights, all up to a number common to all
    classes, which softmax does not see. Tramer et al. solve the same d + 1 equations at random x. From another
    start the biases would be extrapolated over all d pixels, with the rounding of float32 d times over. One theft
    serves every class. Answers of 0, as rounded ones are, have no logarithm: such a weight is taken for 0.
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
        stolen = steal(first.oracle, first.mean_grey())
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
    """A softmax regression in float64: scores `base` `(K,)` at the picture `grey` `(d,)`, `slopes` `(K, d)` from there.

    `unknown`: the share of slopes that have no equation, because an answer is 0.
    """

    grey: Tensor
    base: Tensor
    slopes: Tensor
    unknown: float

    def scores(self, images: Tensor) -> Tensor:
        return self.base + (images.flatten(1).double() - self.grey) @ self.slopes.T

    def as_parameters(self, seen: ModelObservation) -> dict[str, Tensor]:
        """In the network's own terms, by parameter name: at mean grey its input is 0, so `base` is the bias."""
        named = seen.public.softmax_regression()
        assert named is not None
        std = seen.channel_constants()[1].expand(seen.public.image_shape).flatten().double()
        prefix = f"{named[0]}." if named[0] else ""
        return {f"{prefix}weight": (self.slopes * std).float(), f"{prefix}bias": self.base.float()}


def steal(oracle: Oracle, grey: Tensor) -> Stolen:
    """Ask the picture `grey` `(C, H, W)`, then the same with each pixel value in turn at its farther end, 0 or 1."""
    flat = grey.flatten()
    ends = (flat <= 0.5).to(flat)
    base = oracle(grey[None]).double().log()[0]
    rows, unknown = [], 0
    for start in range(0, len(flat), CHUNK):
        places = torch.arange(start, min(start + CHUNK, len(flat)), device=flat.device)
        asked = flat.repeat(len(places), 1)
        asked[torch.arange(len(places), device=flat.device), places] = ends[places]
        length = (ends - flat)[places, None].double()
        slope = (oracle(asked.reshape(-1, *grey.shape)).double().log() - base) / length
        known = slope.isfinite() & (slope.isfinite().sum(dim=1, keepdim=True) > 1)
        unknown += int((~known).sum())
        slope = torch.where(known, slope, 0.0)
        # What is common to all classes we are free to choose: the mean over those that are known is 0.
        shift = slope.sum(dim=1, keepdim=True) / known.sum(dim=1, keepdim=True).clamp(min=1)
        rows.append(torch.where(known, slope - shift, 0.0))
    finite = base.isfinite()
    base = torch.where(finite, base, base[finite].min() if bool(finite.any()) else 0.0)
    return Stolen(flat.double(), base - base.mean(), torch.cat(rows).T, unknown / (len(flat) * len(base)))
