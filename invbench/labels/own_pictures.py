"""What the global network makes of pictures of the attacker's: features before the last layer, and probabilities."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.observation import Labelled, Public, UpdateObservation

DUMMIES = 100
_AT_ONCE = 128


@dataclass(frozen=True, eq=False)
class Answers:
    """Of N pictures: `features` `(N, F)` that the last layer sees and `softmax` `(N, K)`, float64 on the CPU."""

    features: Tensor
    softmax: Tensor


@torch.no_grad()
def answers(network: nn.Module, images: Tensor, layer: str) -> Answers:
    """Of normalised pictures `(N, C, H, W)`, by a copy of the network in its own mode, `layer` its last one."""
    network, features = copy.deepcopy(network), list[Tensor]()

    def look(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        features.append(given[0].double().cpu())

    network.get_submodule(layer).register_forward_pre_hook(look)
    device = next(network.parameters()).device
    scores = [network(some.to(device)).double().cpu() for some in torch.split(images, _AT_ONCE)]
    return Answers(torch.cat(features), torch.cat(scores).softmax(dim=1))


def dummies(seen: UpdateObservation) -> Tensor:
    """Noise `(DUMMIES, C, H, W)`, normalised: standard normal, cut to the range of pictures; always the same."""
    drawn = torch.randn(DUMMIES, *seen.public.image_shape, generator=torch.Generator().manual_seed(0))
    mean, std = (constants.cpu() for constants in seen.channel_constants())
    return drawn.clamp(-mean / std, (1 - mean) / std)


def missing_classes(public: Public, asked: str) -> str | None:
    """Why the attacker's own labelled pictures do not do, None where he has some of each class."""
    if public.reference is None:
        return f"{asked} needs labelled pictures of the attacker's own: the protocol's setting `public` gives him some"
    there = set(public.reference.labels.tolist())
    if lacking := [label for label in range(public.classes) if label not in there]:
        few = ", ".join(map(str, lacking[:5])) + (" ..." if len(lacking) > 5 else "")
        return f"{asked} needs own pictures of each class, and the attacker has none of {few}: raise `public`"
    return None


def by_class(values: Tensor, own: Labelled, classes: int) -> Tensor:
    """Means of `values` `(N, ...)` over the pictures of each class, `(classes, ...)`."""
    labels: Sequence[Tensor] = [own.labels.cpu() == label for label in range(classes)]
    return torch.stack([values[here].mean(dim=0) for here in labels])
