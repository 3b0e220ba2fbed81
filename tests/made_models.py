"""Small trained models of digits, and what an attacker sees of them: made without a game."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from invbench.core.training import Training
from invbench.data.digits import Digits
from invbench.models import ImageModel
from invbench.models.linear import Linear
from invbench.observation import Confidences, ModelObservation, ModelPublic, Oracle
from invbench.victims.building import build_victim
from invbench.victims.training import train

POOL = Digits().load()
MEAN, STD = (torch.tensor(c).reshape(-1, 1, 1) for c in (POOL.mean, POOL.std))
SHAPE = (1, 8, 8)


@cache
def trained(model: ImageModel | None = None, steps: int = 300, shuffled: bool = False, known: int = 0) -> nn.Module:
    """A network trained on 1,257 digits, softmax regression unless told, in 0.2 seconds.

    Digits of the last `known` classes are left out.
    """
    model = model or Linear()
    network = build_victim(model, SHAPE, 10, 0)
    chosen = POOL.train[POOL.labels[POOL.train] < 10 - known]
    images = (torch.from_numpy(POOL.unit(chosen)) - MEAN) / STD
    labels = torch.from_numpy(POOL.labels[chosen])
    if shuffled:
        labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(5))]
    model.pretrain(network, images, torch.Generator().manual_seed(2), Training(steps))
    train(network, images, labels, torch.Generator().manual_seed(1), Training(steps))
    return network


def public(network: nn.Module, **said: Any) -> ModelPublic:
    meta = copy.deepcopy(network).to("meta")
    known = {"model": "made", "network": meta, "image_shape": SHAPE, "classes": 10, "mean": POOL.mean, "std": POOL.std}
    return ModelPublic(**known | said)


def reference() -> Tensor:
    """The pictures of digits 5 to 9 in [0, 1], as an attacker's own."""
    return torch.from_numpy(POOL.unit(np.flatnonzero(POOL.labels >= 5)))


def released(network: nn.Module, target: int = 3, **said: Any) -> ModelObservation:
    """One class, with the weights granted."""
    return ModelObservation(
        public=public(network, **said),
        generator=torch.Generator().manual_seed(target),
        target=target,
        device=torch.device("cpu"),
        model=copy.deepcopy(network),
    )


def asked(
    network: nn.Module,
    target: int = 3,
    queries: int = 20_000,
    defended: Any = None,
    answers: str = "confidences",
    **said: Any,
) -> ModelObservation:
    """One class, with queries granted."""
    return ModelObservation(
        public=public(network, protocol="black-box", queries=queries, answers=answers, **said),
        generator=torch.Generator().manual_seed(target),
        target=target,
        device=torch.device("cpu"),
        oracle=Oracle(queries, answers == "label", Confidences(copy.deepcopy(network), MEAN, STD, defended)),
    )


def confidence(network: nn.Module, image: Tensor | None, target: int) -> float:
    """The model's confidence that a picture in [0, 1] is of the class."""
    assert image is not None
    with torch.no_grad():
        return float(network((image[None].float() - MEAN) / STD).softmax(dim=1)[0, target])


def class_means() -> Tensor:
    """`(10, 1, 8, 8)`, of the training pictures."""
    images, labels = torch.from_numpy(POOL.unit(POOL.train)), torch.from_numpy(POOL.labels[POOL.train])
    return torch.stack([images[labels == label].mean(dim=0) for label in range(10)])
