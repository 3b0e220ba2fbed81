"""Gradient matching of many lanes as one batched function.

A lane is one start for one observation. Its variables are one flat vector: the normalised pictures
`(B, C, H, W)`, or what stands for them (`searched.py`), and, where labels are optimised, their logits `(B, classes)`.
`torch.func.vmap` runs the lanes of a chunk as one program (`programs.py` says how); only the variables' gradient is
computed, never the weights'. The last variable is the logarithm of a factor on the clients' loss, where that is sought
(`scale.py`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from invbench.matching.clients import Simulated, client_of
from invbench.matching.declared import declared
from invbench.matching.objectives import DECLARED, INTERVALS, Objective
from invbench.matching.programs import Programs
from invbench.matching.regularisers import total_variation
from invbench.matching.searched import Parametrisation
from invbench.matching.terms import Term
from invbench.matching.tracing import Batched
from invbench.observation import Update, UpdateObservation
from invbench.updates.moving import each_round
from invbench.updates.pooling import stack_behind
from invbench.updates.simulation import as_gradient, multiple_of

_LARGEST_FACTOR = 2.0**20
"""On the clients' loss, and one over the least: far from both, local steps leave the numbers of float32."""


@dataclass(frozen=True)
class Evaluation:
    """Values `(L,)` of objective + regulariser, of the objective alone, and the gradient `(L, D)`."""

    total: Tensor
    objective: Tensor
    gradient: Tensor


@dataclass(frozen=True, eq=False)
class Problem:
    """What one set of lanes minimises.

    `seen` stacks each lane's update: one tensor `(L, ...)` a parameter, of each round where the model moves; behind
    them the ends of its intervals, where the objective is held against those. `beside`: the constants of what is
    searched, then what the terms of its prior are held against. `searched`: None where that is the pixels.
    """

    image_shape: tuple[int, ...]  # (B, C, H, W)
    classes: int
    seen: Update
    labels: Tensor | None  # (L, B), or None where they are optimised
    lower: Tensor  # (D,)
    upper: Tensor  # (D,)
    programs: Programs  # shared by all lanes of these weights
    scaled: bool = False  # whether the last variable is the logarithm of a factor on the clients' loss
    beside: tuple[Tensor, ...] = ()  # (L, ...) each
    searched: Parametrisation | None = None

    @property
    def pixels(self) -> int:
        """How many variables say which pictures there are: of pixels, how many these are."""
        return math.prod(self.image_shape) if self.searched is None else self.searched.size

    @property
    def size(self) -> int:
        """D: how many variables a lane has."""
        return self.pixels + self.logits + self.scaled

    @property
    def logits(self) -> int:
        """How many of them say which labels there are."""
        return self.image_shape[0] * self.classes if self.labels is None else 0

    def only(self, lanes: Tensor) -> Problem:
        """The same problem for some of its lanes, by index."""
        chosen = tuple(t[lanes] for t in self.seen)
        labels = None if self.labels is None else self.labels[lanes]
        beside = tuple(t[lanes] for t in self.beside)
        return dataclasses.replace(self, seen=chosen, labels=labels, beside=beside)

    def images(self, variables: Tensor) -> Tensor:
        """Normalised pictures `(L, B, C, H, W)`."""
        of_pictures = variables[:, : self.pixels]
        if self.searched is None:
            return of_pictures.reshape(-1, *self.image_shape)
        with torch.no_grad():
            made: Tensor = vmap(self.searched.pictures)(of_pictures, self.beside[: len(self.searched.beside)])
        return made

    def guessed_labels(self, variables: Tensor) -> Tensor:
        """Labels `(L, B)`: the fixed ones, or the most likely by the optimised logits."""
        return self.labels if self.labels is not None else self._optimised(variables).argmax(dim=2)

    def soft_labels(self, variables: Tensor) -> Tensor:
        """What a client is simulated with: fixed labels `(L, B)`, or probabilities `(L, B, classes)`."""
        return self.labels if self.labels is not None else self._optimised(variables).softmax(dim=2)

    def _optimised(self, variables: Tensor) -> Tensor:
        logits = variables[:, self.pixels : self.pixels + self.logits]
        return logits.reshape(-1, self.image_shape[0], self.classes)

    def evaluate(self, variables: Tensor) -> Evaluation:
        """One evaluation of every lane at `variables` `(L, D)`."""
        with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
            slopes, totals, objectives = self.programs.evaluate(variables, self._given)
        return Evaluation(totals, objectives, slopes)

    @cached_property
    def _given(self) -> tuple[Tensor, ...]:
        """What the lanes are held against: their labels, where those are fixed, their updates, and what is beside."""
        given = (*self.seen, *self.beside)
        return given if self.labels is None else (self.labels, *given)


def _batched(
    simulated: Simulated,
    shape: tuple[int, ...],
    classes: int | None,
    objective: Objective,
    tv: float,
    scaled: bool,
    terms: Sequence[Term],
    searched: Parametrisation | None,
) -> Batched:
    """`(variables, [labels,] *seen, *beside) -> slopes, totals, objectives`, lanes first; no labels where `classes` is
    given.

    `scaled`, `searched`: as of a `Problem`. `terms`: what is added to the distance, each with its own share of
    `beside`.
    """
    constants = 0 if searched is None else len(searched.beside)
    held = constants + sum(term.held for term in terms)
    pixels, logits = math.prod(shape) if searched is None else searched.size, shape[0] * (classes or 0)

    def lane(variables: Tensor, *given: Tensor) -> tuple[Tensor, Tensor]:
        numbers = variables[:pixels]
        if classes is None:
            labels, seen = given[0], given[1:]
        else:
            labels, seen = variables[pixels : pixels + logits].reshape(-1, classes).softmax(dim=1), given
        seen, beside = seen[: len(seen) - held], seen[len(seen) - held :]
        images = numbers.reshape(shape) if searched is None else searched.pictures(numbers, beside[:constants])
        beside = beside[constants:]
        factor = (variables[-1].exp(),) if scaled else ()
        distance = objective(simulated(images, labels, seen, *factor), seen)
        total = distance + tv * total_variation(images) if tv else distance
        if searched is not None and searched.cost is not None:
            total = total + searched.cost(numbers)
        for term in terms:
            total = total + term.weight * term.cost(images, beside[: term.held])
            beside = beside[term.held :]
        return total, distance

    def lanes(variables: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        slopes, (totals, objectives) = vmap(grad_and_value(lane, has_aux=True))(variables, *given)
        return slopes, totals, objectives

    return lanes


def build_problem(
    observations: Sequence[UpdateObservation],
    labels: Sequence[Tensor | None],
    objective: Objective,
    tv: float,
    boxed: bool,
    planned: int = 0,
    simulate: bool = True,
    scaled: bool = False,
    terms: Sequence[Term] = (),
    searched: Parametrisation | None = None,
) -> Problem:
    """One lane an observation, to be evaluated `planned` times. They must share their weights (see `same_weights`).

    Without `simulate` the update is taken for one mean gradient, whatever the protocol. `scaled`: seek a factor on the
    clients' loss, too. `terms`: priors beside total variation. `searched`: what is varied in the place of pixels, which
    no box holds.
    """
    first = observations[0]
    shape = (first.public.pictures, *first.public.image_shape)
    updates = [_held(seen, objective, simulate) for seen in observations]
    mean, std = (c.expand(first.public.image_shape) for c in first.channel_constants())
    fixed = [given for given in labels if given is not None]
    logits = 0 if fixed else shape[0] * first.public.classes
    unbounded = torch.full((math.prod(shape) if searched is None else searched.size,), math.inf)
    boxed = boxed and searched is None
    low = (-mean / std).flatten().repeat(shape[0]) if boxed else -unbounded
    high = ((1 - mean) / std).flatten().repeat(shape[0]) if boxed else unbounded
    free = torch.full((logits,), math.inf)
    factor = torch.full((int(scaled),), math.log(_LARGEST_FACTOR))
    device = first.device
    return Problem(
        image_shape=shape,
        classes=first.public.classes,
        seen=tuple(torch.stack(tensors) for tensors in zip(*updates, strict=True)),
        labels=torch.stack(fixed).to(device) if fixed else None,
        lower=torch.cat([low.to(device), -free.to(device), -factor.to(device)]),
        upper=torch.cat([high.to(device), free.to(device), factor.to(device)]),
        programs=Programs(
            _batched(
                client_of(first, simulate),
                shape,
                None if fixed else first.public.classes,
                objective,
                tv,
                scaled,
                terms,
                searched,
            ),
            planned,
        ),
        scaled=scaled,
        beside=(
            *(() if searched is None else (tensor.to(device) for tensor in searched.beside)),
            *(
                torch.stack(tensors).to(device)
                for term in terms
                for tensors in zip(*(term.beside(seen) for seen in observations), strict=True)
            ),
        ),
        searched=searched,
    )


def _held(seen: UpdateObservation, objective: Objective, simulate: bool) -> Update:
    """What an objective compares a simulated update with: the one seen, and the ends of its intervals if it asks.

    Of several rounds all updates come first, then all lower ends, then all upper ones.
    """
    rounds = [_sides(one, objective, simulate) for one in each_round(seen)]
    return tuple(tensor for side in zip(*rounds, strict=True) for of_round in side for tensor in of_round)


def _sides(seen: UpdateObservation, objective: Objective, simulate: bool) -> tuple[Update, ...]:
    """The update seen, then both ends of its intervals where the objective asks for them."""
    if objective not in INTERVALS:
        return (seen.update if simulate else as_gradient(seen),)
    shared, one = seen.update, seen.public.clients == 1  # a mean over clients follows none of their rules
    if objective in DECLARED:
        shared, ends = declared(seen)
    else:
        ends = stack_behind(seen).interval(shared) if one else (shared, shared)
    factor = 1.0 if simulate else multiple_of(seen.public).factor
    sides = (shared, *(ends if factor > 0 else ends[::-1]))
    return sides if factor == 1.0 else tuple(tuple(tensor / factor for tensor in side) for side in sides)
