"""What float32 may leave of a gradient: the bound holds in the worst order of adding, and for every kind of victim."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from made_updates import normalised, observe, photographs, pooled, victim
from torch import Tensor, nn
from torch.nn import functional

from invbench.models.convnet import ConvNet
from invbench.models.lenet import LeNet
from invbench.models.mlp import MLP
from invbench.models.resnet20 import ResNet20
from invbench.observation import PublicDefense, Update
from invbench.protocol._gradient import gradient, per_example_gradients
from invbench.updates.arithmetic import UNIT, Sums, error_of_softmax, sums
from invbench.updates.likelihood import misfit, simulated, widened


@pytest.mark.parametrize("terms", [16, 256, 2048])
def test_one_term_after_the_other_leaves_the_variance_that_is_counted(terms: int) -> None:
    """Single additions are exact to a rounding on every processor, so these bits are the same everywhere.

    Of the counted variance u^2 n / 6 about half: a rounding is relative to the power of two below its number.
    """
    stream = torch.Generator().manual_seed(0)
    added = torch.randint(-(2**24), 2**24, (terms, 4000), generator=stream).float()
    total = torch.zeros(4000)
    for one in added:
        total = total + one
    exact = added.double().sum(dim=0)
    share = float((total.double() - exact).square().mean() / exact.square().mean() / (UNIT**2 * terms / 6))
    assert 0.3 < share < 1


def small(count: int) -> tuple[Tensor, Tensor]:
    images, labels = photographs(count)
    return functional.avg_pool2d(images, 2), labels


VICTIMS = {
    "lenet": LeNet(), "lenet tanh": LeNet(activation="tanh"), "lenet leaky": LeNet(activation="leaky-relu"),
    "lenet relu": LeNet(activation="relu"), "mlp": MLP(), "convnet": ConvNet(width=8), "resnet": ResNet20(),
}  # fmt: skip


def network(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    images, labels = photographs(4) if name == "convnet" else small(4)
    return (pooled(8) if name == "pooled" else victim(images, model=VICTIMS[name])), images, labels


@pytest.mark.parametrize("name", [*VICTIMS, "pooled"])
@pytest.mark.parametrize("batch", [1, 4])
def test_every_victim_s_gradient_is_within_it(name: str, batch: int) -> None:
    """Against float64, and against the mean of the examples' own gradients, which adds in another order."""
    model, images, labels = network(name)
    pictures = normalised(images[:batch])
    counted, scores = sums(model, pictures)
    allowed = math.hypot(counted.relative_error(), error_of_softmax(scores, labels[:batch]))
    exact = of(copy.deepcopy(model).double(), pictures.double(), labels[:batch])
    here = of(model, pictures, labels[:batch])
    apart = [of(model, pictures[k : k + 1], labels[k : k + 1]) for k in range(batch)]
    averaged = tuple(torch.stack(tensors).mean(dim=0) for tensors in zip(*apart, strict=True))
    for one, other in ((here, exact), (averaged, exact), (averaged, here)):
        assert relative(one, other) < allowed


def of(model: nn.Module, pictures: Tensor, labels: Tensor) -> Update:
    weights = {name: p.detach() for name, p in model.named_parameters()}
    with torch.no_grad():
        return gradient(model, weights, dict(model.named_buffers()), pictures, labels)


def relative(one: Update, other: Update) -> float:
    """The root mean square difference in units of an entry and its tensor's usual size."""
    squares = [
        (a.double() - b.double()).square() / (b.double().square() + b.double().square().mean())
        for a, b in zip(one, other, strict=True)
    ]
    return float(torch.cat([square.flatten() for square in squares]).mean().sqrt())


@pytest.mark.parametrize("name", [*VICTIMS, "pooled"])
def test_the_truth_s_misfit_is_below_one_whoever_added_it(name: str) -> None:
    model, images, labels = network(name)
    seen = observe(model, images[:2], labels[:2])
    weights = {key: p.detach() for key, p in model.named_parameters()}
    own = per_example_gradients(model, weights, dict(model.named_buffers()), normalised(images[:2]), labels[:2])
    apart = replace(seen, update=tuple(torch.stack(tensors).mean(dim=0) for tensors in zip(*own, strict=True)))
    for update in (seen, apart):
        assert misfit(update, simulated(update, normalised(images[:2]), labels[:2])) < 1
        assert misfit(update, simulated(update, normalised(images[:2]) + 0.1, labels[:2])) > 1


@pytest.mark.parametrize("sure", [0.0, 4.0, 8.0, 12.0])
def test_what_rounding_leaves_of_p_minus_y_grows_as_the_network_is_sure(sure: float) -> None:
    scores = torch.randn(200, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(200) % 10
    scores[torch.arange(200), labels] += sure
    target = functional.one_hot(labels, 10)
    exact = scores.double().softmax(dim=1) - target
    rounded = scores.log_softmax(dim=1).exp() - target
    error = float((rounded - exact).square().sum().sqrt() / exact.square().sum().sqrt())
    assert error < error_of_softmax(scores, labels)
    assert error_of_softmax(scores, labels) < UNIT * 4 * math.exp(sure + 1)  # 1 - p is above exp(-sure - 1) usually


def test_scores_that_are_not_finite_leave_nothing() -> None:
    assert error_of_softmax(torch.full((1, 3), torch.nan), torch.tensor([0])) == 1.0
    assert error_of_softmax(torch.tensor([[200.0, 0.0, 0.0]]), torch.tensor([0])) == 1.0


def test_terms_are_those_of_rows_columns_and_places() -> None:
    model = nn.Sequential(nn.Conv2d(3, 12, 5, 2, 2), nn.Sigmoid(), nn.Flatten(), nn.Linear(192, 10))
    counted, scores = sums(model, torch.zeros(2, 3, 8, 8))
    assert counted == Sums(terms=(75 + 12 * 25) + (192 + 10) + 2 * 16, products=4, kinks=0, units=0)
    assert scores.shape == (2, 10)
    assert counted.relative_error() == pytest.approx(UNIT * math.sqrt(609 / 3))
    assert not any(layer._forward_hooks for layer in model.modules())


def test_units_near_their_kink_count_where_one_of_them_is_likely_to_change_sides() -> None:
    """As many change sides as normal values do that are moved by the error."""
    stream, moved = torch.Generator().manual_seed(0), 0.01
    values = torch.randn(1_000_000, generator=stream)
    changed = float(((values > 0) != (values + moved * torch.randn(1_000_000, generator=stream) > 0)).float().mean())
    assert changed == pytest.approx(0.4 * 0.8 * moved, rel=0.15)  # 8 standard deviations of 3,200 changes
    few, many = Sums(3000, 2, kinks=3, units=1000), Sums(3000, 2, kinks=3, units=1_000_000)
    assert few.relative_error() == pytest.approx(UNIT * math.sqrt(1000))
    assert many.relative_error() == pytest.approx(math.sqrt(2 * 3 * 0.32 * few.relative_error()), rel=0.01)


def test_variances_are_widened_by_what_other_processors_may_leave_and_noise_is_not() -> None:
    model, images, labels = network("lenet")
    seen = observe(model, images[:1], labels[:1])
    counted, _ = sums(model, normalised(images[:1]))
    assert widened(seen) == pytest.approx((counted.relative_error() / (3 * UNIT)) ** 2)
    noisy = replace(seen, public=replace(seen.public, defenses=(PublicDefense("gaussian", {"std": 1e-2}),)))
    assert widened(noisy) == pytest.approx(1, abs=1e-3)
