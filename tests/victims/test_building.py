"""A victim's weights depend on what is given and on nothing that the process did before."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from invbench import registry
from invbench.victims.building import build_victim


def same_bits(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().items(), b.state_dict().items(), strict=True)
    return all(name == other and torch.equal(x, y) for (name, x), (other, y) in pairs)


@pytest.mark.parametrize("name", ["linear", "mlp", "lenet", "convnet", "resnet20", "resnet18", "vgg11"])
def test_the_same_seed_gives_the_same_bits_whatever_was_drawn_before(name: str) -> None:
    model = registry.load("model", name).build({})
    torch.manual_seed(1)
    first = build_victim(model, (3, 32, 32), 10, seed=7)
    torch.manual_seed(2)
    torch.rand(5)
    assert same_bits(first, build_victim(model, (3, 32, 32), 10, seed=7))
    assert not same_bits(first, build_victim(model, (3, 32, 32), 10, seed=8))


def test_building_a_victim_leaves_the_global_generator_as_it_was() -> None:
    before = torch.get_rng_state()
    build_victim(registry.load("model", "lenet").build({}), (3, 32, 32), 10, seed=7)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_victim_is_float32_on_the_cpu_in_eval_mode_with_parameters_to_differentiate() -> None:
    model = registry.load("model", "convnet").build({"width": 2})
    with torch.device("meta"):  # even where the caller has another default device
        network = build_victim(model, (1, 9, 9), 2, seed=0)
    assert not any(layer.training for layer in network.modules())
    for values in network.parameters():
        assert values.device.type == "cpu"
        assert values.dtype == torch.float32
        assert values.requires_grad
        assert values.grad is None


def test_a_63_bit_seed_is_taken() -> None:
    model = registry.load("model", "linear").build({})
    assert not same_bits(
        build_victim(model, (1, 2, 2), 2, seed=2**63 - 1), build_victim(model, (1, 2, 2), 2, seed=2**62)
    )
