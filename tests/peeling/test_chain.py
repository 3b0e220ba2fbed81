"""Reading a victim as a chain: what is one, in which order, and why the rest is none."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from invbench.models.lenet import LeNet
from invbench.models.resnet20 import ResNet20
from invbench.peeling.chain import Link, NotAChain, prefix, read_chain, with_weights
from invbench.victims.building import build_victim


def chain_of(network: nn.Module, shape: tuple[int, ...] = (3, 8, 8)) -> tuple[Link, ...]:
    return read_chain(copy.deepcopy(network).eval().to("meta"), shape)


def classifier(*layers: nn.Module, features: int = 192) -> nn.Sequential:
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, 4))


def through(chain: tuple[Link, ...], pictures: Tensor) -> Tensor:
    for link in chain:
        pictures = link.layer(pictures)
    return pictures


def test_a_nested_sequential_is_read_in_order_with_the_names_of_its_parameters() -> None:
    inner = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Identity(), nn.Tanh())
    network = nn.Sequential(nn.Sequential(inner, nn.Dropout()), nn.Flatten(), nn.Linear(192, 4)).eval()
    chain = chain_of(network)
    assert [link.name for link in chain] == ["0.0.0", "0.0.2", "1", "2"]
    assert [(link.before, link.after) for link in chain] == [
        ((3, 8, 8), (3, 8, 8)),
        ((3, 8, 8), (3, 8, 8)),
        ((3, 8, 8), (192,)),
        ((192,), (4,)),
    ]
    named = {prefix(link) + name for link in chain for name, _ in link.layer.named_parameters()}
    assert named == {name for name, _ in network.named_parameters()}


def test_a_chain_with_weights_computes_what_the_network_does() -> None:
    network = build_victim(LeNet(activation="elu"), (3, 8, 8), 10, 0)
    pictures = torch.randn(2, 3, 8, 8)
    chain = with_weights(chain_of(network), network)
    assert torch.allclose(through(chain, pictures.double()).float(), network(pictures), rtol=1e-4, atol=1e-4)
    assert {p.dtype for link in chain for p in link.layer.parameters()} == {torch.float64}


def test_a_network_that_is_one_layer_has_no_prefix() -> None:
    network = nn.Linear(5, 4)
    [link] = with_weights(chain_of(network, (5,)), network)
    assert (link.name, prefix(link)) == ("", "")


def test_an_activation_that_is_used_twice_is_a_layer_each_time() -> None:
    same = nn.Tanh()
    network = classifier(nn.Conv2d(3, 3, 3, padding=1), same, nn.Conv2d(3, 3, 3, padding=1), same)
    chain = with_weights(chain_of(network), network)
    assert [type(link.layer).__name__ for link in chain] == ["Conv2d", "Tanh", "Conv2d", "Tanh", "Flatten", "Linear"]
    pictures = torch.randn(2, 3, 8, 8)
    assert torch.allclose(through(chain, pictures.double()).float(), network(pictures), atol=1e-5)


def test_frozen_layers_have_a_gradient_here_as_they_have_at_the_client() -> None:
    network = classifier(nn.Conv2d(3, 3, 3, padding=1)).requires_grad_(False)
    chain = with_weights(chain_of(network), network)
    assert all(p.requires_grad for link in chain for p in link.layer.parameters())
    assert not any(p.requires_grad for p in network.parameters())


class Residual(nn.Sequential):
    def forward(self, pictures: Tensor) -> Tensor:
        return pictures + super().forward(pictures)


class Doubled(nn.Conv2d):
    def forward(self, pictures: Tensor) -> Tensor:
        return 2 * super().forward(pictures)


TWICE = nn.Linear(192, 192)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (classifier(Residual(nn.Conv2d(3, 3, 3, padding=1))), r"a Residual is no chain of layers \(layer 0\)"),
        (classifier(nn.Sequential(nn.Tanh(), nn.MaxPool2d(2)), features=48), r"max pooling hides .* \(layer 0\.1\)"),
        (classifier(nn.GELU()), r"a GELU cannot be inverted \(layer 0\)"),
        (classifier(nn.Tanh(), nn.SiLU()), r"a SiLU cannot be inverted \(layer 1\)"),
        (classifier(nn.Conv2d(3, 3, 3, padding=1, groups=3)), r"in 3 groups is not peeled yet \(layer 0\)"),
        (classifier(nn.Conv2d(3, 3, 3, padding="same")), "zero padding given in numbers"),
        (classifier(nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect")), "zero padding given in numbers"),
        (classifier(nn.BatchNorm2d(3, track_running_stats=False)), "without running statistics mixes a batch"),
        (classifier(nn.GroupNorm(1, 3)), "a GroupNorm cannot be inverted"),
        (classifier(nn.AvgPool2d(2, ceil_mode=True), features=48), "ceil_mode is not peeled yet"),
        (classifier(nn.LeakyReLU(-0.5)), "slope -0.5 does not rise"),
        (classifier(nn.ELU(-1.0)), "alpha -1 does not rise"),
        (classifier(nn.Softplus(threshold=5.0)), "threshold 5 falls there"),
        (classifier(Doubled(3, 3, 3, padding=1)), "a Doubled cannot be inverted"),
        (classifier(weight_norm(nn.Conv2d(3, 3, 3, padding=1))), "a ParametrizedConv2d is no chain of layers"),
        (nn.Sequential(nn.Linear(8, 8), nn.Flatten(), nn.Linear(192, 4)), r"one axis only, .* \(layer 0\)"),
        (nn.Sequential(nn.Flatten(), TWICE, TWICE, nn.Linear(192, 4)), r"used twice .* \(layer 2\)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Tanh()), "needs a linear layer as its last"),
        (nn.Sequential(nn.Conv2d(3, 4, 8)), "needs a linear layer as its last"),
        (nn.Sequential(), "needs a linear layer as its last"),
        (classifier(nn.Conv2d(5, 3, 3, padding=1)), r"a Conv2d does not take \(3, 8, 8\)"),
        (build_victim(ResNet20(), (3, 8, 8), 10, 0), "is no chain of layers"),
    ],
)
def test_what_is_no_chain_says_why_and_where(network: nn.Module, reason: str) -> None:
    with pytest.raises(NotAChain, match=reason):
        chain_of(network)
