"""Gradient matching of many lanes as one batched function.

A lane is one start for one observation. Its variables are one flat vector: the normalised pictures
`(B, C, H, W)` and, where labels are optimised, their logits `(B, classes)`. `torch.func.vmap` runs the
lanes of a chunk as one program; only the variables' gradient is computed, never the weights'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from invbench.matching.objectives import Objective
from invbench.matching.regularisers import total_variation
from invbench.observation import Update, UpdateObservation
from invbench.protocol.fedsgd import gradient


@dataclass(frozen=True)
class Evaluation:
    """Values `(L,)` of objective + regulariser, of the objective alone, and the gradient `(L, D)`."""

    total: Tensor
    objective: Tensor
    gradient: Tensor


@dataclass(frozen=True, eq=False)
class Problem:
    """What one set of lanes minimises. `seen` stacks each lane's update: one tensor `(L, ...)` a parameter."""

    network: torch.nn.Module
    image_shape: tuple[int, ...]  # (B, C, H, W)
    classes: int
    seen: Update
    labels: Tensor | None  # (L, B), or None where they are optimised
    objective: Objective
    tv: float
    lower: Tensor  # (D,)
    upper: Tensor  # (D,)

    @property
    def pixels(self) -> int:
        return math.prod(self.image_shape)

    @property
    def size(self) -> int:
        """D: how many variables a lane has."""
        return self.pixels + (self.image_shape[0] * self.classes if self.labels is None else 0)

    def only(self, lanes: Tensor) -> Problem:
        """The same problem for some of its lanes, by index."""
        chosen = tuple(t[lanes] for t in self.seen)
        labels = None if self.labels is None else self.labels[lanes]
        return Problem(**{**vars(self), "seen": chosen, "labels": labels})

    def images(self, variables: Tensor) -> Tensor:
        """Normalised pictures `(L, B, C, H, W)`."""
        return variables[:, : self.pixels].reshape(-1, *self.image_shape)

    def guessed_labels(self, variables: Tensor) -> Tensor:
        """Labels `(L, B)`: the fixed ones, or the most likely by the optimised logits."""
        if self.labels is not None:
            return self.labels
        return variables[:, self.pixels :].reshape(-1, self.image_shape[0], self.classes).argmax(dim=2)

    def evaluate(self, variables: Tensor) -> Evaluation:
        """One evaluation of every lane at `variables` `(L, D)`."""
        with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
            slopes, (totals, objectives) = self._batched()(variables, self.labels, self.seen)
        return Evaluation(totals.detach(), objectives.detach(), slopes.detach())

    def _batched(self) -> Callable[..., Any]:
        parameters = {name: p.detach() for name, p in self.network.named_parameters()}
        buffers = dict(self.network.named_buffers())

        def lane(variables: Tensor, labels: Tensor | None, seen: Update) -> tuple[Tensor, Tensor]:
            images = variables[: self.pixels].reshape(self.image_shape)
            if labels is None:
                labels = variables[self.pixels :].reshape(-1, self.classes).softmax(dim=1)
            simulated = gradient(self.network, parameters, buffers, images, labels)
            distance = self.objective(simulated, seen)
            total = distance + self.tv * total_variation(images) if self.tv else distance
            return total, distance

        return vmap(grad_and_value(lane, has_aux=True), in_dims=(0, None if self.labels is None else 0, 0))


def build_problem(
    observations: Sequence[UpdateObservation],
    labels: Sequence[Tensor | None],
    objective: Objective,
    tv: float,
    boxed: bool,
) -> Problem:
    """One lane an observation. Observations must share their weights (see `same_weights`)."""
    first = observations[0]
    shape = (first.public.batch_size, *first.public.image_shape)
    mean, std = (c.expand(first.public.image_shape) for c in first.channel_constants())
    fixed = [given for given in labels if given is not None]
    logits = 0 if fixed else shape[0] * first.public.classes
    low = (-mean / std).flatten().repeat(shape[0]) if boxed else torch.full((math.prod(shape),), -math.inf)
    high = ((1 - mean) / std).flatten().repeat(shape[0]) if boxed else torch.full((math.prod(shape),), math.inf)
    free = torch.full((logits,), math.inf)
    device = first.device
    return Problem(
        network=first.model,
        image_shape=shape,
        classes=first.public.classes,
        seen=tuple(torch.stack(tensors) for tensors in zip(*(o.update for o in observations), strict=True)),
        labels=torch.stack(fixed).to(device) if fixed else None,
        objective=objective,
        tv=tv,
        lower=torch.cat([low.to(device), -free.to(device)]),
        upper=torch.cat([high.to(device), free.to(device)]),
    )


def same_weights(a: UpdateObservation, b: UpdateObservation) -> bool:
    """Whether two observations come from one global model, so that their lanes can share its weights."""
    ours, theirs = a.model.state_dict(), b.model.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
