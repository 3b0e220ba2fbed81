"""DeepInversion: pictures that a network's BatchNorm layers remember (Yin et al. 2020, CVPR, arXiv 1912.08795)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from invbench.attacks import Attack
from invbench.core import progress
from invbench.inversion.statistics import remembering, statistics_of
from invbench.matching.regularisers import total_variation
from invbench.observation import Inversion, ModelObservation, ModelPublic
from invbench.registry import attack, parameter

WITHOUT = "the model has no BatchNorm: total variation and the squared norm are the only priors (DeepDream's)"


@attack(game="model")
@dataclass(frozen=True, kw_only=True)
class DeepInversion(Attack[ModelPublic, ModelObservation, Inversion]):
    """min over one picture of each class: cross-entropy + tv TV(x) + l2 |x|^2 + statistics sum_l R_l(x) (eq. 2 to 4).

    R_l compares the mean and variance of all these pictures, at BatchNorm layer l, with those of the training
    pictures, which the layer remembers (`inversion/statistics.py`). So the batch holds every class that the model is
    trained on, whatever classes are asked, and is the same for all of them. Adam, from mean grey, its rate falling to
    0; pixels stay in [0, 1]. Averages over pixels, where the authors add; distances relative to what is remembered: so
    the weights are not theirs. Without their flips and shifts.
    """

    iterations: int = parameter(500, at_least=1, unit="iterations", help="of Adam, its rate falling to 0")
    rate: float = parameter(0.05, above=0, help="Adam's first learning rate, of normalised pixels")
    statistics: float = parameter(1.0, at_least=0, help="weight of the distance to BatchNorm's statistics")
    tv: float = parameter(0.1, at_least=0, help="weight of total variation")
    l2: float = parameter(0.01, at_least=0, help="weight of the mean squared normalised pixel")

    def unsupported(self, public: ModelPublic) -> str | None:
        if public.weights_granted:
            return None
        return f"needs the model's weights, which protocol {public.protocol} does not grant; query-inversion asks it"

    def attack_all(self, observations: Sequence[ModelObservation]) -> list[Inversion]:
        """One batch of all classes serves every class."""
        seen = observations[0]
        network = seen.model
        assert network is not None
        targets = torch.arange(seen.public.classes - seen.public.known_classes, device=seen.device)
        mean, std = seen.channel_constants()
        low, high = ((edge - mean) / std for edge in (0.0, 1.0))
        images = torch.zeros(len(targets), *seen.public.image_shape, device=seen.device).requires_grad_(True)
        optimizer = torch.optim.Adam([images], lr=self.rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.iterations)
        best, least, sure = images.detach().clone(), float("inf"), torch.zeros(len(targets))
        for step in range(self.iterations + 1):  # the last pictures are looked at, too
            with statistics_of(network) as apart:
                scores = network(images)
            prior = self.tv * total_variation(images) + self.l2 * images.square().mean()
            cost = functional.cross_entropy(scores, targets) + prior + self.statistics * sum(apart)
            if float(cost.detach()) < least:
                best, least = images.detach().clone(), float(cost.detach())
                sure = scores.detach().softmax(dim=1)[targets, targets].cpu()
            if step < self.iterations:
                (images.grad,) = torch.autograd.grad(cost, images)
                optimizer.step()
                schedule.step()
                images.data.copy_(torch.minimum(torch.maximum(images.data, low), high))
            progress.report("attack", step, self.iterations, least)
        notes = () if remembering(network) or not self.statistics else (WITHOUT,)
        return [
            Inversion(
                image=(best[one.target] * std + mean).clamp(0, 1),
                objective=least,
                evaluations=self.iterations + 1,
                stopped={"budget spent": 1},
                facts={"confidence": float(sure[one.target])},
                notes=notes,
            )
            for one in observations
        ]
