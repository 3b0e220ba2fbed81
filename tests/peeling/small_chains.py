"""Small chains in float64 and their gradients, written out by autograd."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.models.lenet import LeNet
from invbench.peeling.chain import Link, read_chain, with_weights
from invbench.protocol._gradient import gradient
from invbench.victims.building import build_victim

LABEL = 2


@dataclass(frozen=True)
class Known:
    """A chain, a picture, and its gradient by parameter name as a function of the picture."""

    chain: tuple[Link, ...]
    picture: Tensor
    gradient: Callable[[Tensor], dict[str, Tensor]]


def batch_norm(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    layer.running_mean.normal_()
    layer.running_var.uniform_(0.5, 2)
    return layer


def networks() -> dict[str, tuple[nn.Module, tuple[int, int, int]]]:
    torch.manual_seed(0)
    return {
        "lenet": (build_victim(LeNet(), (3, 8, 8), 10, 0), (3, 8, 8)),
        "mixed": (
            nn.Sequential(
                nn.Conv2d(2, 5, 3, padding=1, bias=False), batch_norm(5), nn.Tanh(), nn.AvgPool2d(2),
                nn.Conv2d(5, 4, 3, 2), nn.Softplus(), nn.Flatten(), nn.Linear(16, 6), nn.ELU(),
                nn.Linear(6, 4, bias=False),
            ),
            (2, 10, 10),
        ),
        "linear": (
            nn.Sequential(nn.Flatten(), nn.Linear(25, 9), nn.BatchNorm1d(9), nn.Sigmoid(), nn.Linear(9, 4)),
            (1, 5, 5),
        ),
        "pooled": (
            nn.Sequential(
                nn.Conv2d(2, 4, (3, 2), (2, 1), (1, 2), (1, 2)), nn.LeakyReLU(0.2), nn.AdaptiveAvgPool2d(2),
                nn.Flatten(), nn.Linear(16, 4),
            ),
            (2, 6, 7),
        ),
    }  # fmt: skip


def known(name: str) -> Known:
    network, shape = networks()[name]
    network = network.eval()
    chain = with_weights(read_chain(copy.deepcopy(network).to("meta"), shape), network)
    double = copy.deepcopy(network).double()
    weights = {name: p.detach() for name, p in double.named_parameters()}

    def by_name(picture: Tensor) -> dict[str, Tensor]:
        slopes = gradient(double, weights, dict(double.named_buffers()), picture[None], torch.tensor([LABEL]))
        return dict(zip(weights, slopes, strict=True))

    return Known(chain, torch.randn(shape, dtype=torch.float64), by_name)


def flat(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors.values()])
