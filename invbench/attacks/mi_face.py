"""Model inversion of a face recogniser (Fredrikson, Jha and Ristenpart 2015, CCS, 10.1145/2810103.2813677)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.attacks import Attack
from invbench.inversion.descent import Descent
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
    """

    step: float = parameter(0.1, above=0, help="length of a step, times the gradient with respect to pixels in [0, 1]")
    iterations: int = parameter(5000, at_least=1, unit="steps", help="at most")
    window: int = parameter(
        100, at_least=1, unit="steps", help="stop where the cost is no smaller than the largest of so many before it"
    )
    confidence: float = parameter(0.99, above=0, at_most=1, help="stop where the model is so certain of the class")
    tv: float = parameter(0.0, at_least=0, help="weight of total variation in the cost")

    def unsupported(self, public: ModelPublic) -> str | None:
        if public.weights_granted:
            return None
        return f"needs the model's weights, which protocol {public.protocol} does not grant; query-inversion asks it"

    def attack_all(self, observations: Sequence[ModelObservation]) -> list[Inversion]:
        """All classes as lanes of one descent: their model is the same."""
        first = observations[0]
        descent = Descent(step=self.step, iterations=self.iterations, window=self.window, confidence=self.confidence)
        targets = torch.tensor([seen.target for seen in observations], device=first.device)
        start = torch.stack([seen.mean_grey() for seen in observations])
        found = descent.run(first.released(), targets, start, self._regulariser)
        return [
            Inversion(
                image=one.image,
                objective=one.cost,
                evaluations=one.steps + 1,
                stopped={one.stopped: 1},
                facts={"confidence": one.confidence},
            )
            for one in found
        ]

    def _regulariser(self, images: Tensor) -> Tensor:
        if not self.tv:
            return images.new_zeros(len(images))
        return self.tv * torch.stack([total_variation(image[None]) for image in images])
