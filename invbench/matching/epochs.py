"""Several epochs over one batch in orders that only the client knows (Dimitrov et al. 2022, arXiv 2206.12395).

Each epoch gets copies of the pictures of its own, in an order of its own, so that any order can be simulated; a prior
says that the copies are the same set of pictures, whatever their order (section 4.3, equation 3); at the end the copies
are brought into one order by their likeness to each other, and averaged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap
from torch.nn.functional import conv2d

from invbench.matching.problem import Problem
from invbench.matching.programs import Programs
from invbench.matching.regularisers import total_variation
from invbench.observation import Public, UpdateObservation
from invbench.protocol.fedavg import ORDER
from invbench.updates.simulation import multiple_of, protocol_of, simulator

Invariant = Callable[[Tensor], Tensor]
"""From pictures `(epochs, B, C, H, W)` to what does not depend on their order within an epoch, `(epochs, ...)`."""

DISTANCE = 2.0
"""Weight of the distance: in the authors' code it moves to 2 over the first half of the steps, from 1 or from 4."""
_FILTERS = 96


@dataclass(frozen=True)
class Weights:
    """Of what is added to the distance: total variation, values outside [0, 1], copies that are not one set."""

    tv: float
    outside: float
    order: float


def epochs_of(public: Public) -> int:
    """How many epochs a client takes in an order that it draws; 0 where it draws none, or ends within an epoch."""
    protocol, size = protocol_of(public), public.batch_size
    drawn = protocol.draw(size, torch.Generator().manual_seed(0)).get(ORDER)
    if drawn is None:
        return 0
    batches = -(-size // protocol.local_batch(size))
    return len(drawn) if len(drawn) * batches == protocol.local_steps(size) else 0


def of_mean(pictures: Tensor) -> Tensor:
    """The mean picture of each epoch."""
    return pictures.mean(dim=1)


def largest_filtered(channels: int) -> Invariant:
    """Of each place the most that any picture of the epoch has behind random 3 x 3 filters, always the same ones."""
    drawn = torch.randn(_FILTERS, channels, 3, 3, generator=torch.Generator().manual_seed(0))
    kernel = drawn / math.sqrt(9 * channels)

    def of_largest(pictures: Tensor) -> Tensor:
        behind = conv2d(pictures.flatten(0, 1), kernel.to(pictures), padding=1)
        return behind.reshape(*pictures.shape[:2], *behind.shape[1:]).amax(dim=1)

    return of_largest


def apart(pictures: Tensor, invariant: Invariant) -> Tensor:
    """1/E^2 times the sum over all pairs of epochs of the mean squared difference of their invariants (equation 3)."""
    of_each = invariant(pictures)
    return 2 * (of_each - of_each.mean(dim=0)).square().mean()  # twice the variance: every pair is counted both ways


def problem_of_copies(
    group: Sequence[UpdateObservation], labels: Sequence[Tensor], weights: Weights, invariant: Invariant, planned: int
) -> Problem:
    """One lane an observation, whose variables are all copies `(epochs * B, C, H, W)`; labels repeat each epoch.

    Distance: the squared differences of the sum of the client's gradients over its steps, divided by how many these
    are; each layer counts e times less than the one before it.
    """
    first = group[0]
    public, protocol = first.public, protocol_of(first.public)
    epochs, size, steps = epochs_of(public), public.batch_size, protocol.local_steps(public.batch_size)
    order = torch.arange(epochs * size).reshape(epochs, size)
    share = simulator(public, first.model, draws={ORDER: order.to(first.device)})
    shape = (epochs * size, *public.image_shape)
    by_layer = [DISTANCE / steps * weight for weight in _by_layer(first)]
    unit, (mean, std) = multiple_of(public).factor / steps, first.channel_constants()
    low, high = -mean / std, (1 - mean) / std

    def lane(variables: Tensor, classes: Tensor, *seen: Tensor) -> tuple[Tensor, Tensor]:
        copies = variables.reshape(shape)
        pairs = zip(share(copies, classes), seen, by_layer, strict=True)
        total = torch.stack([weight * ((a - b) / unit).square().sum() for a, b, weight in pairs]).sum()
        outside = ((copies - copies.clamp(low, high)) * std).square().sum() / len(copies)
        total = total + weights.tv * total_variation(copies) + weights.outside * outside
        total = total + weights.order * apart(copies.reshape(epochs, size, *public.image_shape), invariant)
        return total, total

    def lanes(variables: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        slopes, (totals, objectives) = vmap(grad_and_value(lane, has_aux=True))(variables, *given)
        return slopes, totals, objectives

    free = torch.full((math.prod(shape),), math.inf, device=first.device)
    return Problem(
        image_shape=shape,
        classes=public.classes,
        seen=tuple(torch.stack(tensors) for tensors in zip(*(seen.update for seen in group), strict=True)),
        labels=torch.stack([one.to(first.device).repeat(epochs) for one in labels]),
        lower=-free,
        upper=free,
        programs=Programs(lanes, planned),
    )


def _by_layer(seen: UpdateObservation) -> list[float]:
    """exp(-l) of each parameter, l its layer's place, from 0."""
    layers = [name.rpartition(".")[0] for name, _ in seen.model.named_parameters()]
    place = {layer: number for number, layer in enumerate(dict.fromkeys(layers))}
    return [math.exp(-place[layer]) for layer in layers]


def together(pictures: Tensor) -> Tensor:
    """The mean over epochs, `(B, C, H, W)`, of copies `(epochs, B, C, H, W)` in [0, 1], each brought into the order of
    the first epoch's by the assignment with the largest sum of PSNR between copies: no truth is asked."""
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]  # late: it takes a while to load

    first = pictures[0]
    ordered = [first]
    for other in pictures[1:]:
        errors = (first.flatten(1)[:, None] - other.flatten(1)[None]).double().square().mean(dim=2)
        cost = errors.clamp(min=torch.finfo(torch.float32).tiny).log10()
        ordered.append(other[torch.from_numpy(linear_sum_assignment(cost.cpu().numpy())[1]).to(other.device)])
    return torch.stack(ordered).mean(dim=0)
