"""The pairs that each lane of L-BFGS remembers, and the direction they give (Nocedal and Wright, algorithm 7.4)."""

from __future__ import annotations

import torch
from torch import Tensor

_CURVED = 1e-8  # smallest cosine between a step and its gradient change that is taken for curvature


class Ring:
    """The last `memory` pairs of every lane: steps and gradient changes `(memory, L, D)`, each lane at its own place.

    A pair that a lane does not take leaves its older ones where they are.
    """

    def __init__(self, like: Tensor, memory: int) -> None:
        self.steps, self.changes = like.new_zeros(memory, *like.shape), like.new_zeros(memory, *like.shape)
        self.rho = like.new_zeros(memory, len(like))
        self.scale = like.new_ones(len(like))
        self.count = torch.zeros(len(like), dtype=torch.int64, device=like.device)  # pairs taken so far

    def push(self, step: Tensor, change: Tensor, lanes: Tensor) -> None:
        """Offer a pair `(L, D)` to the lanes `(L,)` marked; it is taken where its curvature is positive."""
        curvature, size = (step * change).sum(dim=1), change.square().sum(dim=1)
        taken = lanes & (curvature > _CURVED * (step.square().sum(dim=1) * size).sqrt())
        which = torch.nonzero(taken).flatten()
        place = self.count[which] % len(self.rho)
        self.steps[place, which], self.changes[place, which] = step[which], change[which]
        self.rho[place, which] = 1 / curvature[which]
        self.scale[which] = curvature[which] / size[which]
        self.count[which] += 1

    def direction(self, gradient: Tensor) -> Tensor:
        """The quasi-Newton direction `-H g` `(L, D)`; minus the gradient where a lane has no pair."""
        memory, every = len(self.rho), torch.arange(len(gradient), device=gradient.device)
        most = min(memory, int(self.count.max()))
        places = [(self.count - age) % memory for age in range(1, most + 1)]  # newest first
        known = [age <= self.count for age in range(1, most + 1)]
        q, weights = -gradient, []
        for place, has in zip(places, known, strict=True):
            weight = self.rho[place, every] * has * (self.steps[place, every] * q).sum(dim=1)
            q = q - weight[:, None] * self.changes[place, every]
            weights.append(weight)
        q = q * self.scale[:, None]
        for place, has, weight in zip(reversed(places), reversed(known), reversed(weights), strict=True):
            back = self.rho[place, every] * has * (self.changes[place, every] * q).sum(dim=1)
            q = q + (weight - back)[:, None] * self.steps[place, every]
        return q

    def forget(self, lanes: Tensor) -> None:
        """Drop every pair of the lanes `(L,)` marked."""
        self.count[lanes], self.scale[lanes] = 0, 1.0

    def keep(self, lanes: Tensor) -> None:
        """Drop the lanes that left."""
        self.steps, self.changes, self.rho = self.steps[:, lanes], self.changes[:, lanes], self.rho[:, lanes]
        self.scale, self.count = self.scale[lanes], self.count[lanes]
