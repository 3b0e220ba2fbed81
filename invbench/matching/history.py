"""The pairs that each lane of L-BFGS remembers, and the direction they give (Nocedal and Wright, algorithm 7.4)."""

from __future__ import annotations

import torch
from torch import Tensor

_CURVED = 1e-8  # smallest cosine between a step and its gradient change that is taken for curvature


class Ring:
    """The last `memory` pairs of every lane: steps and gradient changes `(memory, L, D)`; no pair where rho is 0.

    Every lane's newest pair is at place `newest`, older ones before it, round the ring. A lane that does not take a
    pair keeps all of its older ones, as in PyTorch's L-BFGS: they move on by one place with the others' newest. So a
    direction reads whole places and gathers nothing.
    """

    def __init__(self, like: Tensor, memory: int) -> None:
        self.steps, self.changes = like.new_zeros(memory, *like.shape), like.new_zeros(memory, *like.shape)
        self.rho = like.new_zeros(memory, len(like))  # 1 / (step . change)
        self.scale = like.new_ones(len(like))
        self.count = torch.zeros(len(like), dtype=torch.int64, device=like.device)  # pairs taken, in all
        self.newest = 0

    def push(self, step: Tensor, change: Tensor, lanes: Tensor) -> None:
        """Offer a pair `(L, D)` to the lanes `(L,)` marked; it is taken where its curvature is positive."""
        curvature, size = (step * change).sum(dim=1), change.square().sum(dim=1)
        taken = lanes & (curvature > _CURVED * (step.square().sum(dim=1) * size).sqrt())
        which, others = torch.nonzero(taken).flatten(), torch.nonzero(~taken).flatten()
        if not len(which):
            return
        self.newest = (self.newest + 1) % len(self.rho)
        if len(others):
            for series in (self.steps, self.changes, self.rho):
                series[:, others] = series[:, others].roll(1, dims=0)
        self.steps[self.newest, which], self.changes[self.newest, which] = step[which], change[which]
        self.rho[self.newest, which] = 1 / curvature[which]
        self.scale[which] = curvature[which] / size[which]
        self.count[which] += 1

    def direction(self, gradient: Tensor) -> Tensor:
        """The quasi-Newton direction `-H g` `(L, D)`; minus the gradient where a lane has no pair."""
        memory = len(self.rho)
        places = [(self.newest - age) % memory for age in range(min(memory, int(self.count.max())))]  # newest first
        q, weights = -gradient, []
        for place in places:
            weight = self.rho[place] * (self.steps[place] * q).sum(dim=1)
            q = q - weight[:, None] * self.changes[place]
            weights.append(weight)
        q = q * self.scale[:, None]
        for place, weight in zip(reversed(places), reversed(weights), strict=True):
            back = self.rho[place] * (self.changes[place] * q).sum(dim=1)
            q = q + (weight - back)[:, None] * self.steps[place]
        return q

    def forget(self, lanes: Tensor) -> None:
        """Drop every pair of the lanes `(L,)` marked."""
        self.count[lanes], self.scale[lanes] = 0, 1.0
        self.rho[:, lanes] = 0.0

    def keep(self, lanes: Tensor) -> None:
        """Drop the lanes that left."""
        self.steps, self.changes, self.rho = self.steps[:, lanes], self.changes[:, lanes], self.rho[:, lanes]
        self.scale, self.count = self.scale[lanes], self.count[lanes]
