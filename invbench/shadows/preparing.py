"""Shadow models as an artefact: what they answer on the candidates, and which of these each was trained on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from invbench.observation import Labelled, MembershipPublic, Preparation, Tensors, log_probabilities
from invbench.shadows.training import together, train_shadows

_STAGES = frozenset({"model", "training"})
"""The stages of defences that a shadow's weights depend on; those of answers are run when it is read."""
_TRIAL_STEPS = (1, 4)
_ONE_BY_ONE = 4
"""Shadows of a block where each is trained alone: what a killed run loses, and what one worker takes at a time."""
_SPLITS = 1 << 32  # seeds of the splits, apart from those of the networks


def shadow_models(public: MembershipPublic, count: int) -> dict[str, Preparation]:
    """`shadows`: log probabilities of `count` shadow models. Attacks that ask for as many share one artefact.

    They are made in blocks, the first of which is that of whoever asks for no more.
    """
    size = max(together(public), _ONE_BY_ONE)
    if count <= size:
        return {"shadows": _block(public, 0, count)}
    blocks = {f"from {first}": _block(public, first, min(first + size, count)) for first in range(0, count, size)}
    joined = Preparation(
        what=f"{count} shadows of {public.model}",
        key={"shadows": count, "candidates": public.identity},
        make=_joined,
        needs=blocks,
        stages=_STAGES,
        trial=lambda made: (_joined(made), 0.0),
    )
    return {"shadows": joined}


def _block(public: MembershipPublic, first: int, end: int) -> Preparation:
    shadows = str(end) if first == 0 else f"{end - first} more"
    return Preparation(
        what=f"training {shadows} shadows of {public.model}",
        key={"shadows": end, "candidates": public.identity, **({"from": first} if first else {})},
        make=partial(_answers, public, first, end),
        stages=_STAGES,
        trial=partial(_trial, public, first, end),
    )


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


def _answers(public: MembershipPublic, first: int, end: int, made: Mapping[str, Tensors]) -> Tensors:
    """Of shadows `first` to `end`: `kept` `(K, N)` and `log_probabilities` `(K, N, classes)` of the candidates."""
    kept, own, others = membership(public, end)[first:], public.candidates, public.reference
    pictures = Labelled(torch.cat([own.images, others.images]), torch.cat([own.labels, others.labels]))
    networks = train_shadows(public, pictures, training_sets(public, kept), first)
    return {
        "kept": kept,
        "log_probabilities": torch.stack([log_probabilities(network, own.images) for network in networks]),
    }


def _trial(public: MembershipPublic, first: int, end: int, made: Mapping[str, Tensors]) -> tuple[Tensors, float]:
    """Answers of as many shadows, most of them copies of a few that were trained for four batches; and the seconds that
    all batches of all shadows take, by what three of these cost."""
    kept, number = membership(public, end)[first:], min(end - first, together(public))
    seconds, answers = list[float](), dict[str, Tensor]()
    for steps in (_TRIAL_STEPS[0], *_TRIAL_STEPS):  # the first pays for loading kernels
        started = time.perf_counter()
        answers = dict(_answers(replace(public, steps=steps), first, first + number, made))
        seconds.append(time.perf_counter() - started)
    step = max(0.0, seconds[2] - seconds[1]) / (_TRIAL_STEPS[1] - _TRIAL_STEPS[0])
    copies = torch.arange(end - first) % number
    whole = (seconds[1] + step * (public.steps - 1)) * (end - first) / number
    return {"kept": kept, "log_probabilities": answers["log_probabilities"][copies]}, whole


def _joined(made: Mapping[str, Tensors]) -> Tensors:
    """All blocks in order."""
    blocks = list(made.values())
    return {name: torch.cat([block[name] for block in blocks]) for name in blocks[0]}
