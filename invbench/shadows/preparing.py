"""Shadow models as an artefact: what they answer on the candidates, and which of these each was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from invbench.observation import Labelled, MembershipPublic, Preparation, Tensors, log_probabilities
from invbench.shadows.training import train_shadows

_SPLITS = 1 << 32  # seeds of the splits, apart from those of the networks


def shadow_models(public: MembershipPublic, count: int) -> dict[str, Preparation]:
    """`shadows`: log probabilities of `count` shadow models. Attacks that ask for as many share one artefact."""
    preparation = Preparation(
        what=f"training {count} shadows of {public.model}",
        key={"shadows": count, "candidates": public.identity},
        make=partial(_answers, public, count),
    )
    return {"shadows": preparation}


def membership(public: MembershipPublic, count: int) -> Tensor:
    """Which candidates each shadow trains on, `(count, N)`: a random half, and the next one on the other half.

    So an even number of shadows has every candidate in exactly half of them, and each set is of one size.
    """
    number = len(public.candidates)
    kept = torch.zeros(count, number, dtype=torch.bool)
    for first in range(0, count, 2):
        half = torch.randperm(number, generator=torch.Generator().manual_seed(_SPLITS + first))[: number // 2]
        kept[first, half] = True
        if first + 1 < count:
            kept[first + 1] = ~kept[first]
    return kept


def training_sets(public: MembershipPublic, kept: Tensor) -> Tensor:
    """Indexes `(count, size)` into candidates and reference, joined: the candidates kept, and all of the reference.

    ValueError where that is another number of pictures than the victim was trained on: what such shadows answer says
    nothing of the victim's own.
    """
    reference = len(public.candidates) + torch.arange(len(public.reference))
    sets = [torch.cat([own.nonzero()[:, 0], reference]) for own in kept]
    for chosen in sets:
        if len(chosen) != public.trained_on:
            raise ValueError(f"a shadow would train on {len(chosen)} pictures, the victim did on {public.trained_on}")
    return torch.stack(sets)


def _answers(public: MembershipPublic, count: int, made: Mapping[str, Tensors]) -> Tensors:
    """`kept` `(count, N)` and `log_probabilities` `(count, N, classes)` of the candidates, float64."""
    kept, own, others = membership(public, count), public.candidates, public.reference
    pictures = Labelled(torch.cat([own.images, others.images]), torch.cat([own.labels, others.labels]))
    networks = train_shadows(public, pictures, training_sets(public, kept))
    return {
        "kept": kept,
        "log_probabilities": torch.stack([log_probabilities(network, own.images) for network in networks]),
    }
