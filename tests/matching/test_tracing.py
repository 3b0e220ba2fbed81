"""Traced evaluations: the same bits as torch.func gives, the fewest convolutions, and constants computed once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from made_updates import digits, observe, photographs, victim
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from invbench.matching.objectives import OBJECTIVES
from invbench.matching.problem import Problem, build_problem
from invbench.matching.tracing import trace
from invbench.models import ImageModel
from invbench.models.convnet import ConvNet
from invbench.models.lenet import LeNet
from invbench.models.mlp import MLP
from invbench.models.resnet20 import ResNet20

VICTIMS: dict[str, ImageModel] = {
    "lenet": LeNet(),
    "max pooling": LeNet(activation="relu", pool="max"),
    "convnet": ConvNet(width=2),
    "group norm": ConvNet(width=2, norm="group"),
    "resnet20": ResNet20(),
    "mlp": MLP(),
}


def problem_of(model: ImageModel, lanes: int, batch: int, *, joint: bool = False, planned: int = 0) -> Problem:
    images, labels = photographs(lanes * batch)
    network = victim(images, model=model)
    pairs = list(zip(images.split(batch), labels.split(batch), strict=True))
    seen = [observe(network, pictures, given) for pictures, given in pairs]
    given = [None if joint else labels for _, labels in pairs]
    return build_problem(seen, given, OBJECTIVES["cosine"], 0.01, boxed=True, planned=planned)


def start(problem: Problem, lanes: int, seed: int = 0) -> Tensor:
    return torch.randn(lanes, problem.size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("name", "lanes"),
    [
        pytest.param(name, lanes, marks=pytest.mark.slow if (name, lanes) == ("resnet20", 1) else ())
        for name in VICTIMS
        for lanes in (1, 3)
    ],
)
def test_a_traced_evaluation_gives_the_same_bits(name: str, lanes: int) -> None:
    eager, traced = (problem_of(VICTIMS[name], lanes, 2, planned=planned) for planned in (0, 10**6))
    for seed in (0, 1):
        one, two = eager.evaluate(start(eager, lanes, seed)), traced.evaluate(start(traced, lanes, seed))
        assert torch.equal(one.gradient, two.gradient)
        assert torch.equal(one.total, two.total)
        assert torch.equal(one.objective, two.objective)
    assert traced.programs.notes == []


def test_optimised_labels_are_traced_too() -> None:
    eager, traced = (problem_of(LeNet(), 2, 2, joint=True, planned=planned) for planned in (0, 10**6))
    one, two = eager.evaluate(start(eager, 2)), traced.evaluate(start(traced, 2))
    assert torch.equal(one.gradient, two.gradient)
    assert one.gradient[:, -20:].abs().max() > 0


class Convolutions(TorchDispatchMode):
    """Counts the gradients and values of convolutions that are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            self.count += 1
        if func is torch.ops.aten.convolution_backward.default:
            self.count += sum(args[-1][:2])  # the input's and the weight's; the bias's is a sum
        return func(*args, **(kwargs or {}))


def chain(layers: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for index in range(layers):
        parts += [nn.Conv2d(1 if index == 0 else 3, 3, 3, padding=1), nn.Softplus()]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(3 * 64, 10)).eval()


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_no_convolution_is_computed_that_the_pictures_gradient_does_not_need(layers: int) -> None:
    """Of n layers: n forward; n and n - 1 backward; n, n and n - 1 for their transposes; n down to the picture."""
    images, labels = digits(1)
    seen = observe(chain(layers), images, labels)
    problem = build_problem([seen], [labels], OBJECTIVES["cosine"], 0.0, boxed=True, planned=10**6)
    problem.evaluate(start(problem, 1))
    with Convolutions() as traced:
        problem.evaluate(start(problem, 1))
    assert traced.count == 7 * layers - 2
    plain = build_problem([seen], [labels], OBJECTIVES["cosine"], 0.0, boxed=True)
    with Convolutions() as eager:
        plain.evaluate(start(plain, 1))
    assert eager.count == traced.count + layers - 1  # the second gradient of the weights, which nobody reads


def test_what_the_variables_do_not_change_is_left_to_the_prelude() -> None:
    weight = torch.arange(3.0)
    traced = trace(lambda x, y: (x * y.square().sum(), (y + weight).exp() - x), torch.ones(3), (torch.ones(3),))
    names = Counter(str(node.target) for node in traced.step.graph.nodes if node.op == "call_function")
    assert names == {"aten.mul.Tensor": 1, "aten.sub.Tensor": 1}
    x, y = torch.randn(3), torch.randn(3)
    product, difference = traced.step(x, *traced.bind((y,)))
    assert torch.equal(product, x * y.square().sum())
    assert torch.equal(difference, (y + weight).exp() - x)
