"""Where an update has fewer independent numbers than its pictures, and that a record says so."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from invbench.models.lenet import LeNet
from invbench.models.resnet18 import ResNet18
from invbench.protocol._gradient import gradient
from invbench.updates.equations import told_at_most, underdetermined


def test_a_linear_layer_s_gradient_tells_as_much_as_its_rank() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 20)).to("meta")
    assert told_at_most(network, (3, 4, 4), 1) == 49 + 20 - 1
    assert told_at_most(network, (3, 4, 4), 4) == 4 * (49 + 20 - 4)
    assert told_at_most(network, (3, 4, 4), 64) == 49 * 20


def test_the_bound_holds_for_the_jacobian_s_true_rank() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.Sigmoid(), nn.Flatten(), nn.Linear(72, 4)
    ).double()  # 20 entries of the convolution, 2 (73 + 4 - 2) of the classifier
    weights = {name: p.detach() for name, p in network.named_parameters()}
    labels = torch.tensor([0, 1])

    def flat(pictures: torch.Tensor) -> torch.Tensor:
        return torch.cat([g.flatten() for g in gradient(network, weights, {}, pictures, labels)])

    jacobian = torch.func.jacfwd(flat)(torch.randn(2, 1, 6, 6, dtype=torch.float64)).flatten(1)  # type: ignore[no-untyped-call]
    assert told_at_most(network.float().to("meta"), (1, 6, 6), 2) == 20 + 2 * (73 + 4 - 2)
    assert int(torch.linalg.matrix_rank(jacobian)) <= 20 + 2 * (73 + 4 - 2)


class Peeking(nn.Module):
    """Looks at its input's values, which the meta device has not."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(48, 20)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        scale = 2.0 if float(pictures.max()) > 1 else 1.0
        return self.layer(scale * pictures.flatten(1))  # type: ignore[no-any-return]


def test_a_network_that_looks_at_values_counts_whole() -> None:
    assert told_at_most(Peeking().to("meta"), (3, 4, 4), 1) == 49 * 20


@pytest.mark.parametrize(("batch", "open_"), [(1, False), (4, True), (8, True)])
def test_lenet_s_update_does_not_determine_a_batch_of_four(batch: int, open_: bool) -> None:
    with torch.device("meta"):
        network = LeNet().build((3, 32, 32), 10)
    said = underdetermined(network, (3, 32, 32), batch)
    assert (said is not None) == open_
    if batch == 4:
        assert said == "an update tells at most 11,236 numbers and its pictures have 12,288: it does not determine them"


def test_a_deep_network_s_update_has_numbers_to_spare() -> None:
    with torch.device("meta"):
        network = ResNet18().build((3, 32, 32), 10)
    assert underdetermined(network, (3, 32, 32), 64) is None
    assert all(buffer.device.type == "meta" for buffer in network.buffers())
