"""Robbing the Fed: a module whose gradient holds the pictures of a batch one by one (Fowl et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from invbench.attacks import UpdateAttack
from invbench.crafting.bins import read_bins
from invbench.crafting.edges import equal_bins
from invbench.crafting.imprint import Imprint, Structure, brightness, imprint_weights
from invbench.crafting.ranking import best_first
from invbench.observation import Failed, Guess, Public, Tensors, UpdateObservation
from invbench.registry import attack, parameter
from invbench.updates.simulation import not_one_gradient


@attack(game="update", server="malicious", adds_module=True)
@dataclass(frozen=True, kw_only=True)
class ImprintAttack(UpdateAttack):
    """A module in front of the network sorts the batch into bins of brightness, and its gradient holds each bin.

    Fowl, Geiping, Czaja, Goldblum and Goldstein 2022, arXiv 2110.13057; `sparse` is a variant of their code. Unit i of
    k is on for pictures brighter than c_i. The difference of the gradients of two neighbouring rows is sum s(x) x over
    the pictures between their edges, that of their biases sum s(x): the ratio is a picture exactly where a bin holds
    one, and of several their mean, weighted by s. Of n pictures n (1 - 1/k)^(n-1) are expected alone. The edges are
    quantiles of the attacker's own pictures (`public` of the protocol), never of those attacked.

    Not as in the authors' code: the module adds the units' mean, times a small `gain`, to the picture instead of
    replacing it, so that no victim saturates; the last row is read as it is, where theirs is lost; a bin counts as
    empty below what rounding leaves, where theirs has to be exactly 0.
    """

    bins: int = parameter(1000, at_least=2, at_most=1_000_000, unit="bins", help="units of the module that is added")
    structure: Structure = parameter(
        "cumulative", help="units on above their edge, read as differences; or in their own bin alone (sparse)"
    )
    gain: float = parameter(1e-3, above=0, help="the units' mean is added to the picture times this")
    knot: int = parameter(
        30, at_least=1, unit="pictures", help="the edges' quantile function goes through every so many public pictures"
    )

    def unsupported(self, public: Public) -> str | None:
        if public.reference is None:
            return "needs pictures of the attacker's own for its bins: say `public: NUMBER` in the protocol"
        if len(public.reference) < 2 or not float(brightness(public.reference.images).std()) > 0:
            return "needs at least two pictures of the attacker's own that differ in brightness (`public`)"
        return not_one_gradient(public)

    def inserted(self, public: Public) -> nn.Module:
        return Imprint(public.image_shape, self.bins, self.structure)

    def craft(self, public: Public, weights: Tensors, client: int) -> Tensors:
        assert public.reference is not None  # else it is unsupported
        edges = equal_bins(brightness(public.reference.images), self.bins, self.knot)
        return {**weights, **imprint_weights(weights, edges, self.structure, self.gain)}

    def __call__(self, seen: UpdateObservation) -> Guess:
        weight, bias = seen.update_of("inserted.first")
        assert bias is not None
        found = read_bins(weight, bias, self.structure, seen.public.pictures)
        if not len(found.signals):
            raise Failed("the gradient of every bin is zero")
        mean, std = (one.double() for one in seen.channel_constants())
        images = found.pictures.reshape(-1, *seen.public.image_shape) * std + mean
        best = best_first(found.signals.abs(), images, seen.public.pictures)
        labels = seen.labels if len(best) == seen.public.pictures == 1 else None
        return Guess(images=images[best].clamp(0, 1).float(), labels=labels, facts={"bins": len(found.signals)})
