"""Model inversion of a face recogniser (Fredrikson, Jha and Ristenpart 2015, CCS, 10.1145/2810103.2813677)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from invbench.attacks import Attack
from invbench.inversion.codes import Autoencoding, Codes
from invbench.inversion.descent import Descent, Found, inside
from invbench.matching.regularisers import total_variation
from invbench.observation import Inversion, ModelObservation, ModelPublic
from invbench.registry import attack, parameter


@attack(game="model")
@dataclass(frozen=True, kw_only=True)
class MiFace(Attack[ModelPublic, ModelObservation, Inversion]):
    """MI-Face, algorithm 1: descend on 1 - confidence + regulariser, from x = 0, by the model's own gradient.

    0 is that of the network's own input: pixels of the data's mean grey level. (From black, on networks that see
    normalised pixels, the softmax is so sure of some class that the descent has no slope.) The answer is the picture of
    least cost that was met, not the last one. The paper's regulariser (AUXTERM) is zero for faces; `tv` weighs the mean
    total variation of the picture in [0, 1].

    With `space: code` it descends in the code of the model's first hidden layer, from the code of mean grey, and
    answers what the model's own decoder makes of the best code; with `process: denoise-sharpen` every iterate is
    decoded, denoised by non-local means, sharpened and encoded again (algorithm 2, for the denoising autoencoder).
    Codes want longer steps than pixels: on AT&T's faces 500 steps of 0.1 find 2 of 40 people, 500 steps of 10 find 35
    (of a model that errs on 10 % of held-out pictures; benchmarks/report.md has a less trained one, and 22).
    """

    step: float = parameter(0.1, above=0, help="length of a step, times the gradient with respect to pixels in [0, 1]")
    iterations: int = parameter(5000, at_least=1, unit="steps", help="at most")
    window: int = parameter(
        100, at_least=1, unit="steps", help="stop where the cost is no smaller than the largest of so many before it"
    )
    confidence: float = parameter(0.99, above=0, at_most=1, help="stop where the model is so certain of the class")
    tv: float = parameter(0.0, at_least=0, help="weight of total variation in the cost, of pixels")
    space: Literal["pixels", "code"] = parameter(
        "pixels", later=True, help="descend on pixels, or on the code of an autoencoder's first layer"
    )
    process: Literal["none", "denoise-sharpen"] = parameter(
        "none", later=True, help="what is made of every iterate in the code: nothing, or the paper's PROCESS"
    )
    filtering: float = parameter(
        0.05, later=True, above=0, help="PROCESS: patches that differ by so much (RMS, of 1) hardly count as alike"
    )
    sharpening: float = parameter(0.5, later=True, at_least=0, help="PROCESS: amount of unsharp masking")

    def unsupported(self, public: ModelPublic) -> str | None:
        if not public.weights_granted:
            return (
                f"needs the model's weights, which protocol {public.protocol} does not grant; query-inversion asks it"
            )
        if self.space == "code":
            if self.tv:
                return "tv is of pixels, and space code searches codes: leave one of them out"
            decodes = isinstance(public.network, Autoencoding)
            return None if decodes else f"space code needs a model with a decoder (autoencoder), not {public.model}"
        return None if self.process == "none" else "process is made of codes: it needs space code"

    def attack_all(self, observations: Sequence[ModelObservation]) -> list[Inversion]:
        """All classes as lanes of one descent: their model is the same."""
        first = observations[0]
        descent = Descent(step=self.step, iterations=self.iterations, window=self.window, confidence=self.confidence)
        targets = torch.tensor([seen.target for seen in observations], device=first.device)
        start = torch.stack([seen.mean_grey() for seen in observations])
        if self.space == "code":
            return self._in_code(first, descent, targets, start)
        found = descent.run(first.released(), targets, start, self._regulariser)
        return [_answer(one, one.image) for one in found]

    def _in_code(self, seen: ModelObservation, descent: Descent, targets: Tensor, start: Tensor) -> list[Inversion]:
        network = seen.model
        assert isinstance(network, Autoencoding)
        codes = Codes(network, *seen.channel_constants())
        with torch.no_grad():
            begin = codes.of(start)
        strengths = {"filtering": self.filtering, "sharpening": self.sharpening}
        process = inside if self.process == "none" else partial(codes.processed, **strengths)
        found = descent.run(network.read, targets, begin, lambda given: given.new_zeros(len(given)), process)
        with torch.no_grad():
            return [_answer(one, codes.decoded(one.image[None])[0]) for one in found]

    def _regulariser(self, images: Tensor) -> Tensor:
        if not self.tv:
            return images.new_zeros(len(images))
        return self.tv * torch.stack([total_variation(image[None]) for image in images])


def _answer(found: Found, image: Tensor) -> Inversion:
    return Inversion(
        image=image,
        objective=found.cost,
        evaluations=found.steps + 1,
        stopped={found.stopped: 1},
        facts={"confidence": found.confidence},
    )
