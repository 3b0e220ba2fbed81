"""BatchNorm's memory: none apart from the training pictures, far from anything else, by an equation written again."""

from __future__ import annotations

import torch
from torch import nn

from invbench.inversion.statistics import remembering, statistics_of

IMAGES = torch.randn(40, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 2 + 1


def network() -> nn.Sequential:
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(80, 4), nn.BatchNorm1d(4)
    )
    made.train()
    for layer in remembering(made):
        layer.momentum = 1.0
    with torch.no_grad():
        made(IMAGES)
    return made.eval()


def told(images: torch.Tensor, made: nn.Sequential | None = None) -> list[float]:
    made = network() if made is None else made
    with statistics_of(made) as apart:
        made(images)
    made(images)  # nothing is looked at outside
    return [float(value.detach()) for value in apart]


def test_the_pictures_that_were_learned_are_near_and_others_are_far() -> None:
    own, other = told(IMAGES), told(torch.zeros_like(IMAGES))
    assert len(own) == len(other) == 2
    assert own[0] < 0.01
    assert all(far > 0.3 for far in other)


def test_it_is_the_equation() -> None:
    made, images = network(), IMAGES[:7] * 0.5
    with torch.no_grad():
        values = made[0](images)
    layer = made[1]
    assert isinstance(layer, nn.BatchNorm2d)
    assert layer.running_var is not None
    assert layer.running_mean is not None
    scale = layer.running_var.norm()
    mean, variance = values.mean(dim=(0, 2, 3)), values.var(dim=(0, 2, 3), correction=0)
    wanted = (mean - layer.running_mean).norm() / scale.sqrt() + (variance - layer.running_var).norm() / scale
    assert torch.isclose(torch.tensor(told(images, made)[0]), wanted, rtol=1e-4)


def test_a_network_without_it_tells_nothing() -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(108, 4), nn.BatchNorm1d(4, track_running_stats=False))
    assert told(IMAGES, plain) == []
    assert remembering(plain) == []
