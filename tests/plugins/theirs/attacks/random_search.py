"""Random pictures, of which the one is kept whose update is the nearest: the weakest attack that reads anything."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from invbench.core.attack import UpdateAttack
from invbench.observation import Guess, Public, UpdateObservation
from invbench.registry import attack, parameter
from invbench.updates.simulation import simulate


@attack(game="update")
@dataclass(frozen=True, kw_only=True)
class RandomSearch(UpdateAttack):
    """The flat picture, of `tries` grey levels drawn at random, whose simulated update is nearest to the one seen."""

    tries: int = parameter(16, at_least=1, unit="pictures", help="grey levels tried")

    def unsupported(self, public: Public) -> str | None:
        return None if public.labels == "known" else "needs labels: known"

    def __call__(self, seen: UpdateObservation) -> Guess:
        assert seen.labels is not None
        mean, std = seen.channel_constants()
        shape = (len(seen.labels), *seen.public.image_shape)
        found = []
        for level in torch.rand(self.tries, generator=seen.generator).tolist():
            images = ((level - mean) / std).expand(shape)
            update = simulate(seen.public, seen.model, images, seen.labels)
            distance = sum(float((a - b).square().sum()) for a, b in zip(update, seen.update, strict=True))
            found.append((distance, images))
        distance, images = min(found, key=lambda pair: pair[0])
        guess = seen.to_unit_range(images)
        return Guess(images=guess, labels=seen.labels, evaluations=self.tries, objective=distance)
