"""Where an update has fewer independent numbers than its pictures, and that a record says so."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from invbench.models.lenet import LeNet
from invbench.models.resnet18 import ResNet18
from invbench.protocol._gradient import gradient
from invbench.updates.equations import OPEN, TELLABLE, independent_equations, rank, underdetermined


def test_a_hidden_linear_layer_tells_as_much_as_its_rank_and_the_last_as_its_input_has() -> None:
    hidden = nn.Sequential(nn.Flatten(), nn.Linear(48, 20), nn.Tanh(), nn.Linear(20, 6)).to("meta")
    assert independent_equations(hidden, (3, 4, 4), 1) == (49 + 20 - 1) + 20
    assert independent_equations(hidden, (3, 4, 4), 4) == 4 * (49 + 20 - 4) + 4 * 20
    assert independent_equations(hidden, (3, 4, 4), 64) == 49 * 20 + 21 * 6
    last = nn.Sequential(nn.Flatten(), nn.Linear(48, 20)).to("meta")  # p - y is a function of the picture
    assert independent_equations(last, (3, 4, 4), 1) == 48


NETWORKS: dict[str, tuple[Callable[[bool], list[nn.Module]], tuple[int, int, int]]] = {
    "linear": (lambda bias: [nn.Flatten(), nn.Linear(12, 4, bias=bias)], (3, 2, 2)),
    "narrow": (
        lambda bias: [nn.Flatten(), nn.Linear(40, 5, bias=bias), nn.Tanh(), nn.Linear(5, 4, bias=bias)], (1, 8, 5)
    ),
    "convolutions": (
        lambda bias: [
            nn.Conv2d(1, 2, 3, 2, bias=bias), nn.Tanh(), nn.Conv2d(2, 2, 2, bias=bias), nn.Sigmoid(), nn.Flatten(),
            nn.Linear(18, 4, bias=bias),
        ], (1, 9, 9)
    ),
    "pooled": (
        lambda bias: [
            nn.Conv2d(1, 2, 3, bias=bias), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(8, 4, bias=bias)
        ], (1, 9, 9)
    ),
}  # fmt: skip
NEVER_LESS = 0.85
"""Of the bound, where the pictures have more numbers than it. What it does not count: that a layer's error signal is a
function of the layers' above, and that p - y sums to zero."""


@pytest.mark.parametrize("share", [1.0, 0.5, 0.15])
@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False], ids=["biases", "none"])
@pytest.mark.parametrize("name", list(NETWORKS))
def test_the_count_bounds_the_rank_of_the_jacobian_closely(name: str, bias: bool, batch: int, share: float) -> None:
    """Of whole and of sparse updates; numbers below 1e-11 of the largest singular value are float64's rounding."""
    torch.manual_seed(0)
    made, shape = NETWORKS[name]
    network = nn.Sequential(*made(bias)).double()
    for values in network.parameters():
        nn.init.uniform_(values, -0.7, 0.7)
    weights = {key: p.detach() for key, p in network.named_parameters()}
    shared = {key: torch.rand(p.shape) < share for key, p in weights.items()}
    sent = torch.cat([mask.flatten() for mask in shared.values()])

    def flat(pictures: torch.Tensor) -> torch.Tensor:
        return torch.cat([g.flatten() for g in gradient(network, weights, {}, pictures, torch.arange(batch))])[sent]

    pictures = torch.randn(batch, *shape, dtype=torch.float64)
    jacobian = torch.func.jacrev(flat)(pictures).flatten(1)  # type: ignore[no-untyped-call]
    sizes = torch.linalg.svdvals(jacobian)
    numerical, count = int((sizes > 1e-11 * sizes[0]).sum()), independent_equations(network, shape, batch, shared)
    assert numerical <= count
    assert numerical >= min(pictures.numel(), NEVER_LESS * count) - 3  # three of the few equations of a sparse update


def test_what_is_not_shared_does_not_count() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(32, 4)).to("meta")
    none = {name: torch.zeros(p.shape, dtype=torch.bool) for name, p in network.named_parameters()}
    assert independent_equations(network, (1, 6, 6), 1, none) == 0
    kernel = {**none, "0.weight": torch.ones(2, 1, 3, 3, dtype=torch.bool)}
    assert independent_equations(network, (1, 6, 6), 1, kernel) == 18
    rows = {**none, "3.weight": torch.tensor([[True], [True], [False], [False]]).expand(4, 32)}
    assert independent_equations(network, (1, 6, 6), 1, rows) == 32  # two rows of rank one: 32 + 2 - 1, of 32 inputs


@pytest.mark.parametrize("silent", [0, 1, 7])
def test_the_rank_is_the_number_of_directions_that_the_prior_does_not_keep(silent: int) -> None:
    """Of a Gaussian posterior of 20 directions, of which the others are known a thousand times better."""
    torch.manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(20, 20, dtype=torch.float64))
    told = torch.cat([torch.zeros(silent), torch.full((20 - silent,), 1e6)]).double()
    covariance = torch.linalg.inv(turn @ torch.diag(told) @ turn.T + torch.eye(20))
    assert rank(20, float(covariance.trace()), 1e3) == 20 - silent


def test_full_rank_is_not_claimed_where_a_direction_is_open_or_rounding_may_hide_one() -> None:
    assert rank(20, OPEN, 1e3) == 20  # no direction's error above a tenth of the prior's
    assert rank(20, 1.01 * OPEN, 1e3) == 19
    assert rank(20, 0.0, 2 * TELLABLE) == 19
    assert rank(20, math.nan, 1e3) == rank(20, math.inf, 1e3) == rank(20, 25.0, 1e3) == 0


class Peeking(nn.Module):
    """Looks at its input's values, which the meta device has not."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(48, 20)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        scale = 2.0 if float(pictures.max()) > 1 else 1.0
        return self.layer(scale * pictures.flatten(1))  # type: ignore[no-any-return]


def test_a_network_that_looks_at_values_counts_whole() -> None:
    assert independent_equations(Peeking().to("meta"), (3, 4, 4), 1) == 49 * 20


@pytest.mark.parametrize(("batch", "open_"), [(1, False), (4, True), (8, True)])
def test_lenet_s_update_does_not_determine_a_batch_of_four(batch: int, open_: bool) -> None:
    with torch.device("meta"):
        network = LeNet().build((3, 32, 32), 10)
    said = underdetermined(network, (3, 32, 32), batch)
    assert (said is not None) == open_
    if batch == 4:
        assert said == "an update tells at most 11,208 numbers and its pictures have 12,288: it does not determine them"


def test_a_deep_network_s_update_has_numbers_to_spare() -> None:
    with torch.device("meta"):
        network = ResNet18().build((3, 32, 32), 10)
    assert underdetermined(network, (3, 32, 32), 64) is None
    assert all(buffer.device.type == "meta" for buffer in network.buffers())
