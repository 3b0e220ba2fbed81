"""Kernels of one's own keep clients apart in a sum."""

from __future__ import annotations

import pytest
import torch
from made_updates import public
from torch import Tensor, nn

from invbench.crafting.loki import Loki, levels, loki_weights, read_blocks, scaled
from invbench.updates.simulation import simulate

SHAPE, CLIENTS = (2, 3, 3), 3
EDGES = torch.tensor([-1.0, 0.3, 0.5, 0.7, 3.0], dtype=torch.float64)
MEAN, STD = torch.tensor([0.5, 0.4]), torch.tensor([0.3, 0.2])


def pictures(*means: float, seed: int = 1) -> Tensor:
    """Pictures in [0, 1] of these means, all different."""
    noise = torch.rand(len(means), *SHAPE, generator=torch.Generator().manual_seed(seed)) * 0.2
    return noise - noise.mean(dim=(1, 2, 3), keepdim=True) + torch.tensor(means).reshape(-1, 1, 1, 1)


def normalised(images: Tensor) -> Tensor:
    return (images - MEAN.reshape(-1, 1, 1)) / STD.reshape(-1, 1, 1)


def crafted(client: int, boost: float = 1e3) -> Loki:
    torch.manual_seed(0)
    module = Loki(SHAPE, CLIENTS, 4)
    named = {f"inserted.{name}": tensor for name, tensor in module.state_dict().items()}
    made = loki_weights(named, EDGES, client, MEAN, STD, boost, gain=0.1)
    assert {name: t.shape for name, t in made.items()} == {name: t.shape for name, t in named.items()}
    module.load_state_dict({name.removeprefix("inserted."): tensor for name, tensor in made.items()})
    return module


def gradient(client: int, images: Tensor) -> Tensor:
    """Of the first layer's weights, of a loss that gives every picture another signal."""
    module = crafted(client)
    loss = (module(normalised(images)).flatten(1).sum(dim=1) * torch.arange(1.0, len(images) + 1)).sum()
    (slope,) = torch.autograd.grad(loss, module.first.weight)
    return slope


def test_in_the_sum_of_all_each_client_has_columns_of_its_own() -> None:
    own = [pictures(0.4, 0.8), pictures(0.4, 0.6), pictures(0.1, 0.6)]
    alone = [gradient(client, images) for client, images in enumerate(own)]
    summed = sum(alone[1:], alone[0]) / CLIENTS
    pixels = 18
    for client, slope in enumerate(alone):
        columns = slice(client * pixels, (client + 1) * pixels)
        assert torch.equal(summed[:, columns], slope[:, columns] / CLIENTS), "the others add zeros"
        assert float(slope[:, columns].abs().max()) > 0
    found = read_blocks(summed, CLIENTS)
    pairs = sorted(zip(found.clients.tolist(), found.bins.tolist(), strict=True))
    assert pairs == [(0, 1), (0, 3), (1, 1), (1, 2), (2, 0), (2, 2)]


def test_a_picture_is_read_up_to_its_scale() -> None:
    images = pictures(0.4, 0.8)
    found = read_blocks(gradient(1, images), CLIENTS)
    assert found.clients.tolist() == [1, 1]
    read = scaled(found.contents, images.flatten(1).mean(dim=1).double())
    assert torch.allclose(read, images.flatten(1).double(), atol=1e-5)


def test_one_set_of_kernels_for_all_mixes_clients() -> None:
    own = [pictures(0.4, 0.8), pictures(0.45, 0.6, seed=2)]
    found = read_blocks(sum((gradient(0, images) for images in own), torch.zeros(4, 54)), CLIENTS)
    read = scaled(found.contents, levels(EDGES)[found.bins])
    errors = (read[0] - own[0][0].flatten()).square().mean(), (read[0] - own[1][0].flatten()).square().mean()
    assert min(float(one) for one in errors) > 1e-4


@pytest.mark.parametrize(("boost", "mixed"), [(1e5, False), (1.0, True)])
def test_a_unit_that_was_hit_does_not_fire_in_a_later_step(boost: float, mixed: bool) -> None:
    """Two pictures of one bin in two steps of FedAvg: a unit that hardly moves holds both."""
    torch.manual_seed(0)
    network = nn.Sequential(crafted(0, boost), nn.Flatten(), nn.Linear(18, 3))
    images, labels = pictures(0.4, 0.45), torch.tensor([0, 1])
    said = public(network, SHAPE, classes=3, batch=2, protocol="fedavg", steps=2, local_batch_size=1, lr=0.01)
    update = dict(
        zip(dict(network.named_parameters()), simulate(said, network, normalised(images), labels), strict=True)
    )
    found = read_blocks(update["0.first.weight"], CLIENTS)
    assert found.bins.tolist() == [1]
    first = images[0].flatten().double()
    read = scaled(found.contents, first.mean()[None])[0]
    assert (float((read - first).abs().max()) > 0.01) == mixed


def test_a_bin_stands_for_its_middle_and_the_outermost_for_their_inner_edge() -> None:
    assert levels(EDGES).tolist() == pytest.approx([0.3, 0.4, 0.6, 0.7])


def test_the_victim_sees_nearly_its_picture() -> None:
    images = normalised(pictures(0.4, 0.8))
    assert float((crafted(2)(images) - images).detach().abs().max()) <= 0.1
