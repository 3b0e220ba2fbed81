"""Every victim's gradient can be differentiated again, lane by lane in one program, as matching needs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from torchvision.models.vision_transformer import EncoderBlock  # type: ignore[import-untyped]

from invbench import registry
from invbench.models._layers import ACTIVATIONS
from invbench.models._second_derivative import make_twice_differentiable
from invbench.victims.building import build_victim

LANES, BATCH, CLASSES = 2, 2, 3


def of_gradient_in_lanes(network: nn.Module, directions: list[Tensor], images: Tensor, labels: Tensor) -> Tensor:
    """d/dx of <directions, d loss/d parameters> for each lane at once, by torch.func."""
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    buffers = dict(network.named_buffers())

    def loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(network, (parameters, buffers), (x,)), y)

    def along_directions(x: Tensor, y: Tensor) -> Tensor:
        gradients = grad(loss)(parameters, x, y).values()
        return torch.stack([(g * d).sum() for g, d in zip(gradients, directions, strict=True)]).sum()

    result: Tensor = vmap(grad(along_directions))(images, labels)
    return result


def of_gradient_one_by_one(network: nn.Module, directions: list[Tensor], images: Tensor, labels: Tensor) -> Tensor:
    """The same by plain double backward, a lane at a time."""
    results = []
    for lane, y in zip(images, labels, strict=True):
        x = lane.clone().requires_grad_()
        loss = functional.cross_entropy(network(x), y)
        gradients = torch.autograd.grad(loss, list(network.parameters()), create_graph=True)
        along = torch.stack([(g * d).sum() for g, d in zip(gradients, directions, strict=True)]).sum()
        results += torch.autograd.grad(along, x)
    return torch.stack(results)


def assert_both_ways_agree(network: nn.Module, image_shape: tuple[int, ...]) -> None:
    network = network.double()
    generator = torch.Generator().manual_seed(5)
    for name, buffer in network.named_buffers():  # statistics as after training, so that their use shows
        if name.endswith("running_mean"):
            buffer.copy_(0.05 * torch.randn(buffer.shape, generator=generator))
        if name.endswith("running_var"):
            buffer.mul_(0.5 + torch.rand(buffer.shape, generator=generator))
    directions = [torch.randn(p.shape, generator=generator).double() for p in network.parameters()]
    images = torch.randn(LANES, BATCH, *image_shape, generator=generator).double()
    labels = torch.randint(CLASSES, (LANES, BATCH), generator=generator)
    in_lanes = of_gradient_in_lanes(network, directions, images, labels)
    one_by_one = of_gradient_one_by_one(network, directions, images, labels)
    scale = one_by_one.abs().max()
    assert scale > 0
    torch.testing.assert_close(in_lanes / scale, one_by_one / scale, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "settings", "image_shape"),
    [
        ("linear", {}, (3, 4, 4)),
        ("mlp", {"width": 8}, (3, 4, 4)),
        ("lenet", {}, (3, 8, 8)),
        ("lenet", {"activation": "relu", "pool": "max"}, (3, 8, 8)),
        ("convnet", {"width": 4}, (3, 9, 9)),
        ("convnet", {"width": 4, "norm": "group"}, (1, 9, 9)),
        ("convnet", {"width": 4, "norm": "none"}, (2, 9, 9)),
        ("resnet20", {}, (3, 8, 8)),
        ("resnet18", {}, (1, 8, 8)),
        ("vgg11", {}, (1, 32, 32)),
        ("vit", {"width": 8, "heads": 2}, (3, 8, 8)),
        ("vit", {"width": 8, "heads": 2, "pre_norm": False, "pooling": "mean"}, (1, 8, 8)),
        ("convnet", {"width": 2, "skip": True, "activation": "silu", "pool": "average", "bias": False}, (1, 9, 9)),
        ("resnet20", {"width": 4, "depth": 1, "skip": False, "norm": "group", "activation": "elu"}, (3, 8, 8)),
        ("resnet18", {"width": 4, "depth": 1, "norm": "none", "activation": "tanh"}, (1, 8, 8)),
        ("vgg11", {"width": 2, "norm": "batch", "activation": "gelu"}, (1, 32, 32)),
        ("lenet", {"width": 4, "depth": 4, "norm": "group", "skip": True, "bias": False}, (1, 8, 8)),
        ("mlp", {"width": 8, "depth": 3, "norm": "batch", "skip": True}, (3, 4, 4)),
        ("mlp", {"width": 8, "norm": "group"}, (3, 4, 4)),
        ("torchvision", {"variant": "mobilenet_v3_small"}, (1, 32, 32)),
        ("torchvision", {"variant": "squeezenet1_1"}, (3, 48, 48)),
        ("torchvision", {"variant": "shufflenet_v2_x0_5"}, (3, 32, 32)),
    ],
)
def test_the_gradients_derivative_by_lanes_is_the_plain_double_backward(
    name: str, settings: dict[str, Any], image_shape: tuple[int, int, int]
) -> None:
    model = registry.load("model", name).build(settings)
    assert_both_ways_agree(build_victim(model, image_shape, CLASSES, seed=1), image_shape)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_gradients_derivative_is_the_same_both_ways_for_every_activation(name: str) -> None:
    model = registry.load("model", "lenet").build({"activation": name})
    assert_both_ways_agree(build_victim(model, (1, 4, 4), CLASSES, seed=1), (1, 4, 4))


def test_a_vision_transformers_block_gets_a_second_derivative_and_keeps_its_value() -> None:
    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = EncoderBlock(num_heads=2, hidden_dim=8, mlp_dim=8, dropout=0.0, attention_dropout=0.0)
            self.head = nn.Linear(8, CLASSES)

        def forward(self, tokens: Tensor) -> Tensor:
            scores: Tensor = self.head(self.block(tokens).mean(1))
            return scores

    torch.manual_seed(0)
    network = Tiny().eval()
    tokens = torch.randn(2, 5, 8)
    before = network(tokens)
    torch.testing.assert_close(make_twice_differentiable(network)(tokens), before)
    assert_both_ways_agree(network, (5, 8))


def test_the_hard_sigmoid_with_a_second_derivative_is_the_hard_sigmoid() -> None:
    values = torch.linspace(-5, 5, 101)
    replaced = make_twice_differentiable(nn.Sequential(nn.Hardsigmoid(inplace=True)))
    torch.testing.assert_close(replaced(values.clone()), functional.hardsigmoid(values))
