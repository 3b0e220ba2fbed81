"""Real pictures, small victims and the updates of honest clients: what an attack sees, made without a game."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from invbench.data.digits import Digits
from invbench.data.natural import Natural
from invbench.models import ImageModel
from invbench.models.lenet import LeNet
from invbench.observation import Public, Update, UpdateObservation
from invbench.updates.simulation import simulate
from invbench.victims.building import build_victim

MEAN, STD = (0.5, 0.4, 0.3), (0.3, 0.25, 0.2)  # public normalisation of every victim here, by channel


@cache
def digits(count: int) -> tuple[Tensor, Tensor]:
    """Handwritten digits: unit-range pictures `(count, 1, 8, 8)` and labels of ten classes."""
    pool = Digits().load()
    return torch.from_numpy(pool.unit(pool.targets[:count])), torch.from_numpy(pool.labels[pool.targets[:count]])


@cache
def photographs(count: int) -> tuple[Tensor, Tensor]:
    """Crops of photographs shrunk to `(count, 3, 16, 16)`, and labels of ten classes."""
    pool = Natural().load()
    images = torch.from_numpy(pool.unit(pool.targets[:count]))
    return nn.functional.avg_pool2d(images, 2), torch.from_numpy(pool.labels[pool.targets[:count]])


def victim(images: Tensor, *, model: ImageModel | None = None, classes: int = 10, seed: int = 0) -> nn.Module:
    """An untrained network for such pictures: the sigmoid LeNet unless told."""
    channels, height, width = images.shape[1:]
    return build_victim(model or LeNet(), (channels, height, width), classes, seed)


def normalised(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(constants[: images.shape[1]]).reshape(-1, 1, 1) for constants in (MEAN, STD))
    return (images - mean) / std


def public(
    network: nn.Module,
    image_shape: tuple[int, int, int],
    *,
    classes: int = 10,
    batch: int = 1,
    labels: str = "known",
    protocol: str = "fedsgd",
    **settings: Any,
) -> Public:
    """What everybody knows of a cell: `batch` pictures of each client; `settings` of the protocol."""
    return Public(
        model="victim",
        network=copy.deepcopy(network).to("meta"),
        image_shape=image_shape,
        classes=classes,
        batch_size=batch,
        labels=labels,
        mean=MEAN[: image_shape[0]],
        std=STD[: image_shape[0]],
        protocol=protocol,
        protocol_settings=settings,
        clients=settings.get("clients", 1),
    )


def observe(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    classes: int = 10,
    seed: int = 0,
    hidden: bool = False,
    defend: Callable[[Update], Update] = lambda update: update,
    protocol: str = "fedsgd",
    **settings: Any,
) -> UpdateObservation:
    """What the server sees of clients with these unit-range pictures `(N, C, H, W)` and labels `(N,)`.

    `settings`: those of the protocol; `clients` share the pictures equally.
    """
    count, channels, height, width = images.shape
    known = public(
        network,
        (channels, height, width),
        classes=classes,
        batch=count // settings.get("clients", 1),
        labels="hidden" if hidden else "known",
        protocol=protocol,
        **settings,
    )
    with torch.no_grad():
        update = simulate(known, network, normalised(images), labels)
    return UpdateObservation(
        public=known,
        model=copy.deepcopy(network),
        update=defend(update),
        labels=None if hidden else labels,
        generator=torch.Generator().manual_seed(seed),
        device=torch.device("cpu"),
    )


def noise_like(update: Update) -> Update:
    """Gaussian noise with each tensor's own norm, drawn from a fixed stream."""
    stream = torch.Generator().manual_seed(77)
    noises = [torch.randn(tensor.shape, generator=stream) for tensor in update]
    return tuple(noise * tensor.norm() / noise.norm() for noise, tensor in zip(noises, update, strict=True))


def pooled(width: int, *, seed: int = 0, activation: type[nn.Module] = nn.Sigmoid) -> nn.Module:
    """Two convolutions, each averaged over pools, which the layers alone do not undo; for pictures of 8 x 8."""
    torch.manual_seed(seed)
    halved = [activation(), nn.AvgPool2d(2)]
    network = nn.Sequential(
        nn.Conv2d(3, width, 5, padding=2), *halved, nn.Conv2d(width, width, 5, padding=2), *halved,
        nn.Flatten(), nn.Linear(width * 4, 10),
    ).eval()  # fmt: skip
    for values in network.parameters():
        nn.init.uniform_(values, -0.5, 0.5)
    return network
