"""The sum of gradients in closed form, and what training leaves of it in weights."""

from __future__ import annotations

import torch
from torch import nn

from invbench.matching.recurring import recurring
from invbench.matching.stationarity import OneHidden, one_hidden, residuals


def network(width: int = 7, inputs: int = 5, bias: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, width, bias=bias), nn.ReLU(), nn.Linear(width, 1, bias=bias))


def test_the_closed_form_is_autograds_gradient() -> None:
    for bias in (True, False):
        victim = network(bias=bias).double()
        pictures, multipliers = torch.randn(2, 4, 5).double(), torch.randn(2, 4).double()
        form = one_hidden(victim)
        assert not isinstance(form, str)
        found = form.gradients(pictures, multipliers)
        for lane in range(2):
            total = (multipliers[lane] * victim(pictures[lane])[:, 0]).sum()
            slopes = torch.autograd.grad(total, list(victim.parameters()))
            weight, *offset, out = slopes[:-1] if bias else slopes
            wanted = torch.cat([weight, *(one[:, None] for one in offset), out.T], dim=1)
            assert torch.allclose(found[lane], wanted)


def test_sharp_gates_are_relus_derivative() -> None:
    form = one_hidden(network().double())
    assert not isinstance(form, str)
    pictures, multipliers = torch.randn(1, 4, 5).double(), torch.rand(1, 4).double()
    sharp = form.gradients(pictures, multipliers, torch.tensor([1e9]).double())
    assert torch.allclose(sharp, form.gradients(pictures, multipliers))


def stationary() -> tuple[OneHidden, torch.Tensor, torch.Tensor]:
    """Weights that are exactly such a sum, of two opposite pictures of two classes; pictures and multipliers."""
    picture = torch.tensor([1.0, -2.0, 0.5, 0.0, 1.0])
    multiplier = (picture.square().sum() + 1).rsqrt()  # then v = lambda relu(w x + b) with w = lambda v x, b = lambda v
    out = torch.tensor([1.0, 0.5, -2.0, -0.1])
    weight = multiplier * out[:, None] * picture
    bias = multiplier * out.abs()
    return OneHidden(weight, bias, out, None), torch.stack([picture, -picture])[None], multiplier.repeat(1, 2)


def test_weights_that_are_such_a_sum_have_no_residual_and_a_flipped_sign_has() -> None:
    form, pictures, multipliers = stationary()
    signs, sharp = torch.tensor([1.0, -1.0]), torch.tensor([1e6])
    for power in (0.0, 0.5, 1.0):
        assert float(residuals(form, pictures, multipliers * signs, sharp, power)) < 1e-10
        assert float(residuals(form, pictures, -multipliers * signs, sharp, power)) > 1
        assert float(residuals(form, pictures, 0 * multipliers, sharp, power)) == 1


def test_other_networks_are_told_what_is_missing() -> None:
    assert "one hidden layer" in str(one_hidden(nn.Sequential(nn.Linear(2, 1))))
    assert "one output" in str(one_hidden(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))))
    assert "Tanh" in str(one_hidden(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))))


def test_what_most_lanes_found_comes_first_and_once() -> None:
    base = torch.eye(6)[:3]
    lanes = torch.stack([base, base + 0.01, torch.eye(6)[[0, 4, 5]]])
    found = recurring(lanes, torch.ones(3), torch.tensor([[1.0, 2.0, 3.0]] * 3), alike=0.9)
    assert found.lanes.tolist() == [3, 2, 2, 1, 1]
    assert found.weights.tolist() == [1.0, 3.0, 2.0, 3.0, 2.0]  # among equals the larger multiplier
    assert found.seen_in(2).lanes.tolist() == [3, 2, 2]


def test_pictures_of_two_classes_are_never_one() -> None:
    lanes = torch.stack([torch.eye(4)[:2], torch.eye(4)[[1, 0]]])
    assert recurring(lanes, torch.tensor([1.0, -1.0]), torch.ones(2, 2), alike=0.9).lanes.tolist() == [1] * 4
