"""What the gradient of bins tells: by hand, and through the module."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from invbench.crafting.bins import read_bins
from invbench.crafting.imprint import Imprint, Structure, brightness, imprint_weights

SHAPE = (1, 2, 2)
EDGES = torch.tensor([-10.0, 0.0, 1.0, 2.0, 20.0], dtype=torch.float64)
STRUCTURES: tuple[Structure, ...] = ("cumulative", "sparse")
every_structure = pytest.mark.parametrize("structure", STRUCTURES)


def pictures(*means: float) -> Tensor:
    """Pictures of 2 x 2 pixels with these means, all different."""
    noise = torch.randn(len(means), 1, 2, 2, generator=torch.Generator().manual_seed(1)) * 0.1
    return noise - noise.mean(dim=(2, 3), keepdim=True) + torch.tensor(means).reshape(-1, 1, 1, 1)


def gradients(images: Tensor, structure: Structure, change: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """The module's gradient before a network of one layer, weight and bias; and each picture's own signal.

    `change`: how far one column of the second layer is from the others.
    """
    torch.manual_seed(0)
    module, victim = Imprint(SHAPE, 4, structure), nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    named = {f"inserted.{name}": tensor for name, tensor in module.state_dict().items()}
    made = imprint_weights(named, EDGES, structure, gain=0.1)
    module.load_state_dict({name.removeprefix("inserted."): tensor for name, tensor in made.items()})
    with torch.no_grad():
        module.second.weight[:, 1] += change
    images = images.clone().requires_grad_()
    passed = module(images)
    loss = nn.functional.cross_entropy(victim(passed), torch.arange(len(images)) % 3)
    slopes = torch.autograd.grad(loss, [module.first.weight, module.first.bias, passed])
    return slopes[0], slopes[1], slopes[2].flatten(1).sum(dim=1) * 0.1 / 4


@every_structure
def test_a_picture_alone_in_its_bin_is_read_exactly_the_brightest_bin_included(structure: Structure) -> None:
    images = pictures(-3.0, 0.5, 7.0)
    weight, bias, _ = gradients(images, structure)
    found = read_bins(weight, bias, structure, pictures=3)
    assert found.pictures.shape == (3, 4)
    assert torch.allclose(found.pictures, images.flatten(1).double(), atol=1e-5)


@every_structure
def test_two_in_a_bin_are_their_mean_weighted_by_their_signals(structure: Structure) -> None:
    images = pictures(0.3, 0.6, 1.5)
    weight, bias, signals = gradients(images, structure)
    found = read_bins(weight, bias, structure, pictures=3)
    share = (signals[:2] / signals[:2].sum()).double()
    assert torch.allclose(found.pictures[0], (share[:, None] * images[:2].flatten(1)).sum(dim=0), atol=1e-5)
    assert torch.allclose(found.pictures[1], images[2].flatten().double(), atol=1e-5)


def test_unequal_columns_of_the_second_layer_leave_differences_that_do_not_cancel() -> None:
    images = pictures(-3.0, 0.5, 7.0)
    weight, bias, _ = gradients(images, "cumulative", change=0.5)
    found = read_bins(weight, bias, "cumulative", pictures=3)
    assert not any(torch.allclose(one, images[1].flatten().double(), atol=1e-2) for one in found.pictures)


@every_structure
def test_the_victim_computes_nearly_what_it_would_without(structure: Structure) -> None:
    module = Imprint(SHAPE, 4, structure)
    named = {f"inserted.{name}": tensor for name, tensor in module.state_dict().items()}
    made = imprint_weights(named, EDGES, structure, gain=1e-3)
    assert {name: t.shape for name, t in made.items()} == {name: t.shape for name, t in named.items()}
    module.load_state_dict({name.removeprefix("inserted."): tensor for name, tensor in made.items()})
    images = pictures(-3.0, 0.5, 7.0)
    assert float((module(images) - images).detach().abs().max()) < 0.02


def test_units_measure_the_mean_of_a_picture() -> None:
    assert brightness(pictures(-3.0, 0.5)).tolist() == pytest.approx([-3.0, 0.5], abs=1e-6)


def test_what_rounding_leaves_between_two_equal_rows_is_an_empty_bin() -> None:
    """Of 16 pictures above each of three edges the sums differ in their last digit alone."""
    sums = torch.tensor([1.0, 1.0 + 2.0**-23, 1.0])
    found = read_bins(sums[:, None] * torch.tensor([0.25, 0.5]), sums, "cumulative", 16)
    assert found.signals.tolist() == [1.0]
    torch.testing.assert_close(found.pictures, torch.tensor([[0.25, 0.5]], dtype=torch.float64))
