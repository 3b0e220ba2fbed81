"""Trap weights: a first layer whose units fire on one picture of a batch each (Boenisch et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.attacks import UpdateAttack
from invbench.crafting.ranking import best_first, of_bytes, same_pictures
from invbench.crafting.traps import draw_traps, folded, stream_of, tuned_scale
from invbench.observation import Failed, Guess, Public, Tensors, UpdateObservation, has_own_weight
from invbench.registry import attack, parameter
from invbench.updates.simulation import not_one_gradient

_MOST = 2048
"""Rows that are read, those with the strongest biases: candidates are compared two by two."""


@attack(game="update", server="malicious")
@dataclass(frozen=True, kw_only=True)
class TrapWeights(UpdateAttack):
    """A malicious server gives the first layer weights with which a unit rarely fires; a picture alone in it is read.

    Boenisch, Dziedzic, Schuster, Shahin Shamsabadi, Shumailov and Papernot 2023, arXiv 2112.02918, algorithm 1. A
    random half of a row's weights is negative, drawn from N(0, std); the other half holds the same numbers with the
    other sign, scaled by `scale` below 1. So a unit fires where a picture is bright at the right places, and the ratio
    of its weights' and its bias's gradient is the picture where it fires on no other of the batch. The scale is the one
    of most recall on the attacker's own pictures (`public` of the protocol), by their activations alone. The paper's
    pixels lie in [0, 1]; here the normalisation is folded into weights and biases.

    Not from the paper: which ratios are given back. A picture alone in several units is found several times; mixtures
    are not, may leave [0, 1], and have no 8 bits a pixel, where the attacker's own pictures do.
    """

    scale: float | None = parameter(
        None, above=0, at_most=1, help="of the positive weights; by default the best on the attacker's own pictures"
    )
    std: float = parameter(0.5, above=0, help="standard deviation of the normal that weights are drawn from")

    def unsupported(self, public: Public) -> str | None:
        if (why := _why_not(public)) is not None:
            return why
        if self.scale is None and public.reference is None:
            return "tunes its scale on pictures of the attacker's own: say `public: NUMBER` in the protocol, or `scale`"
        return not_one_gradient(public)

    def craft(self, public: Public, weights: Tensors, client: int) -> Tensors:
        name = _first(public)
        given = weights[f"{name}.weight"]
        units, inputs = given.shape
        traps = draw_traps(units, inputs, self.std, stream_of(given))
        mean, std = (_by_pixel(constants, public) for constants in (public.mean, public.std))
        scale = self.scale
        if scale is None:
            assert public.reference is not None  # else it is unsupported
            own = public.reference.images.flatten(1) * std + mean
            scale = tuned_scale(traps, own, public.pictures)
        weight, bias = folded(traps.rows(scale), mean, std)
        return {**weights, f"{name}.weight": weight.to(given), f"{name}.bias": bias.to(given)}

    def __call__(self, seen: UpdateObservation) -> Guess:
        weight, bias = seen.update_of(_first(seen.public))
        assert bias is not None  # else it is unsupported
        rows = bias.abs().argsort(descending=True, stable=True)[:_MOST]
        rows = rows[bias[rows] != 0]
        if not len(rows):
            raise Failed("no unit of the first layer fired")
        mean, std = (one.double() for one in seen.channel_constants())
        ratios = weight[rows].double() / bias[rows, None].double()
        images = ratios.reshape(-1, *seen.public.image_shape) * std + mean
        same = same_pictures(images)
        trust = same.sum(dim=1)
        if _bytes(seen):
            trust += of_bytes(images) * len(images)  # above any number of recurrences
        best = best_first(trust, images, seen.public.pictures, same)
        labels = seen.labels if len(best) == seen.public.pictures == 1 else None
        facts = {"units": len(rows)}
        return Guess(images=images[best].nan_to_num().clamp(0, 1).float(), labels=labels, facts=facts)


def _first(public: Public) -> str:
    """The name of the first layer that has weights."""
    names: list[str] = [name for name, layer in public.network.named_modules() if has_own_weight(layer)]
    return names[0]


def _why_not(public: Public) -> str | None:
    """Why the network does not begin with a fully connected layer with bias and a ReLU."""
    row = [one for one in public.network.modules() if next(one.children(), None) is None]
    while row and isinstance(row[0], nn.Flatten | nn.Identity | nn.Dropout):
        row.pop(0)
    first, after = [*row, None, None][:2]
    if isinstance(first, nn.Linear) and first.bias is not None and isinstance(after, nn.ReLU):
        return None
    found = "a Linear without bias" if isinstance(first, nn.Linear) and first.bias is None else _named(first)
    wanted = "a first fully connected layer with bias and a ReLU behind it"
    return f"needs {wanted}; {public.model} starts with {found}, then {_named(after)}"


def _named(layer: nn.Module | None) -> str:
    return "nothing" if layer is None else f"a {type(layer).__name__}"


def _by_pixel(constants: tuple[float, ...], public: Public) -> Tensor:
    """Constants of each channel, one a pixel of the flattened picture."""
    _, height, width = public.image_shape
    return torch.tensor(constants, dtype=torch.float32).repeat_interleave(height * width)


def _bytes(seen: UpdateObservation) -> bool:
    """Whether the attacker's own pictures all have 8 bits a pixel; False where he has none."""
    if seen.public.reference is None:
        return False
    mean, std = seen.channel_constants()
    own = seen.public.reference.images.to(seen.device) * std + mean
    return bool(of_bytes(own).all())
