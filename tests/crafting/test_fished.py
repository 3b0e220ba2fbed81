"""One class's update out of a batch's: exactly what its pictures would send alone."""

from __future__ import annotations

import copy

import pytest
import torch
from made_updates import digits, normalised, public, victim

from invbench.crafting.fished import count_of, fishing_classifier, of_class_alone
from invbench.models.mlp import MLP
from invbench.updates.simulation import simulate

LABELS = torch.tensor([3, 1, 3, 0, 2])


def fished(label: int) -> tuple[torch.nn.Module, torch.Tensor, int, int]:
    """A network with the crafted classifier, five pictures, and the last layer's places."""
    images, _ = digits(5)
    network = copy.deepcopy(victim(images, model=MLP(width=32)))
    last = network[-1]
    with torch.no_grad():
        last.weight[:], last.bias[:] = fishing_classifier(last.weight, last.bias, label)
    names = [name for name, _ in network.named_parameters()]
    return network, normalised(images), names.index("5.weight"), names.index("5.bias")


@pytest.mark.parametrize(("label", "count"), [(3, 2), (1, 1), (7, 0)])
def test_layers_below_hold_the_class_alone_and_the_bias_counts_it(label: int, count: int) -> None:
    network, images, _, bias = fished(label)
    update = simulate(public(network, (1, 8, 8), batch=5), network, images, LABELS)
    assert count_of(update[bias], label, 5) == count
    rest = LABELS.ne(label)
    others = simulate(public(network, (1, 8, 8), batch=5 - count), network, images[rest], LABELS[rest])
    assert all(not tensor.any() for tensor in others[:-2]), "exactly zero"


@pytest.mark.parametrize(("label", "count"), [(3, 2), (1, 1)])
def test_filled_in_it_is_the_update_of_that_class_s_pictures_alone(label: int, count: int) -> None:
    network, images, weight, bias = fished(label)
    update = simulate(public(network, (1, 8, 8), batch=5), network, images, LABELS)
    own = LABELS.eq(label)
    expected = simulate(public(network, (1, 8, 8), batch=count), network, images[own], LABELS[own])
    found = of_class_alone(update, weight, bias, label, count, 5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, expected, strict=True))
    assert not torch.allclose(update[weight] * 5 / count, expected[weight], atol=1e-3), "others' rows are mixed"
