"""Priors on a lane's pictures beside mean total variation, for whoever hands them to `build_problem`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import one_hot

from invbench.labels import labels_for
from invbench.matching.objectives import length, root
from invbench.observation import UpdateObservation
from invbench.protocol._batch_norm import looking_at
from invbench.updates.statistics import known_statistics

Beside = tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Term:
    """`weight` times `cost(images, beside)`, a scalar of normalised pictures `(B, C, H, W)`, fit for `torch.func.vmap`.

    `beside(seen)`: the `held` tensors of one observation that its lanes' pictures are held against.
    """

    weight: float
    cost: Callable[[Tensor, Beside], Tensor]
    beside: Callable[[UpdateObservation], Beside] = lambda _: ()
    held: int = 0


def of_statistics(weight: float, first: UpdateObservation) -> Term:
    """Sum over BatchNorm layers of |mean(x) - mean| + |var(x) - var| (Yin et al. 2021, arXiv 2104.07586, equation 10).

    Norms over channels, not squared; mean and biased variance of each layer's input over pictures and places; on the
    other side what the protocol tells (`updates/statistics.py`). Of several clients the mean of their batches' costs.
    Observations share `first`'s weights.
    """
    network, clients, names = first.model, first.public.clients, list(known_statistics(first))
    if not names:
        raise ValueError(f"BatchNorm of {first.public.model} keeps no statistics that pictures could be held against")
    tensors = {**{name: p.detach() for name, p in network.named_parameters()}, **dict(network.named_buffers())}

    def cost(images: Tensor, beside: Beside) -> Tensor:
        means, variances, apart = beside[: len(names)], beside[len(names) :], list[Tensor]()
        for batch in images.chunk(clients):
            with looking_at(network) as found:
                functional_call(network, tensors, (batch,))
            for name, mean, variance in zip(names, means, variances, strict=True):
                apart += [length((found[name].mean - mean,)), length((found[name].variance - variance,))]
        return torch.stack(apart).sum() / clients

    def beside(seen: UpdateObservation) -> Beside:
        told, kind = known_statistics(seen), next(network.parameters()).dtype
        return tuple(one.to(kind) for one in (*(told[n].mean for n in names), *(told[n].variance for n in names)))

    return Term(weight, cost, beside, 2 * len(names))


def of_differences(weight: float) -> Term:
    """Total variation as the sum of four norms, of the differences between neighbours in a row, in a column and on both
    diagonals of all pictures together: as the authors of GradInversion code it in DeepInversion (1912.08795)."""

    def cost(images: Tensor, _: Beside) -> Tensor:
        right, down = images[..., :, 1:] - images[..., :, :-1], images[..., 1:, :] - images[..., :-1, :]
        falling = images[..., 1:, 1:] - images[..., :-1, :-1]
        rising = images[..., 1:, :-1] - images[..., :-1, 1:]
        return torch.stack([length((one,)) for one in (right, down, falling, rising)]).sum()

    return Term(weight, cost)


def of_lengths(weight: float) -> Term:
    """The norm of a picture, averaged over pictures."""
    return Term(weight, lambda images, _: root(images.flatten(1).square().sum(dim=1)).mean())


def of_answers(weight: float, first: UpdateObservation, strategy: str) -> Term:
    """|p(x) - y|^2 averaged over pictures: the network's probabilities for a guess, and the label that `strategy` says.

    Wei et al. 2020 (arXiv 2004.10397). Observations share `first`'s weights.
    """
    network, classes = first.model, first.public.classes
    tensors = {**{name: p.detach() for name, p in network.named_parameters()}, **dict(network.named_buffers())}

    def cost(images: Tensor, beside: Beside) -> Tensor:
        scores: Tensor = functional_call(network, tensors, (images,))
        return (scores.softmax(dim=1) - beside[0]).square().sum(dim=1).mean()

    def beside(seen: UpdateObservation) -> Beside:
        labels = labels_for(strategy, seen)
        if labels is None:
            raise ValueError("labels that are sought are not there to be held against")
        return (one_hot(labels, classes).to(next(network.parameters()).dtype),)

    return Term(weight, cost, beside, 1)
