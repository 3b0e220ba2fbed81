"""What the server sees of defended clients, made as games make it, and how well a search reads it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from made_updates import normalised, public
from torch import Tensor, nn

from invbench.attacks.inverting_gradients import InvertingGradients
from invbench.defenses import Context, Defense, Stack
from invbench.matching.recipe import Recipe
from invbench.metrics import psnr
from invbench.observation import PublicDefense, SharedRound, UpdateObservation
from invbench.registry import load
from invbench.updates.client import observed_update

Declared = Sequence[tuple[str, dict[str, Any]]]


NAIVE = InvertingGradients(iterations=19, lr=0.3, tv=1e-3)
"""A search of half a CPU second, which ignores defences: enough for a digit behind the sigmoid LeNet."""
AWARE = replace(NAIVE, objective="declared")
"""The same by the rules of the declared defences."""


def defended(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    declared: Declared,
    *,
    batch: int = 1,
    seed: int = 5,
    **said: Any,
) -> list[UpdateObservation]:
    """One observation for each `batch` of these unit-range pictures; every client draws from a stream of its own."""
    shape = (images.shape[1], images.shape[2], images.shape[3])
    known = public(network, shape, batch=batch, **said)
    known = replace(known, defenses=tuple(PublicDefense(name, settings) for name, settings in declared))
    stack = Stack(tuple(load("defense", name).build(settings, Defense) for name, settings in declared))
    return [
        UpdateObservation(
            public=known,
            model=copy.deepcopy(network),
            update=observed_update(known, network, normalised(some), wanted, stack, [Context(seeded(seed + number))]),
            labels=wanted,
            generator=seeded(number),
            device=torch.device("cpu"),
        )
        for number, (some, wanted) in enumerate(zip(images.split(batch), labels.split(batch), strict=True))
    ]


def in_rounds(rounds: int, *shown: Any, seed: int = 5, **said: Any) -> list[UpdateObservation]:
    """As `defended`, of clients whose batch is the same in so many rounds at the same weights; read by nobody yet."""
    sent = [defended(*shown, seed=seed + 1000 * number, rounds=rounds, **said) for number in range(rounds)]
    return [
        replace(same[0], rounds=tuple(SharedRound(same[0].model, one.update) for one in same))
        for same in zip(*sent, strict=True)
    ]


def undeclared(seen: Sequence[UpdateObservation]) -> list[UpdateObservation]:
    """The same for an attacker who knows of no defence."""
    return [replace(one, public=replace(one.public, defenses=()), generator=seeded(k)) for k, one in enumerate(seen)]


def read(attack: Recipe, seen: Sequence[UpdateObservation], images: Tensor) -> float:
    """Mean PSNR in dB of what an attack makes of them, picture by picture in order."""
    answers = attack.attack_all([replace(one, generator=seeded(k)) for k, one in enumerate(seen)])
    return float(psnr(torch.cat([answer.images for answer in answers]), images).mean())


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
