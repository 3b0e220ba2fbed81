"""A linear layer or a convolution as equations: every matrix against what PyTorch computes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from invbench.peeling.chain import Link
from invbench.peeling.weighted import (
    apply,
    forward_matrix,
    forward_normal,
    geometry,
    kernel,
    rows_of,
    transposed,
    unfolded_error,
)

SHAPES = [
    (nn.Conv2d(3, 4, 3, padding=1), (3, 6, 6)),
    (nn.Conv2d(2, 3, 5, 2, 2), (2, 8, 8)),
    (nn.Conv2d(2, 3, 3, 2), (2, 8, 6)),  # the stride leaves the last row and column out
    (nn.Conv2d(2, 3, 3, 3, 1), (2, 9, 7)),
    (nn.Conv2d(2, 3, 3, 1, 2, dilation=2), (2, 7, 5)),
    (nn.Conv2d(2, 3, (1, 4), (2, 3), (0, 2), (1, 2)), (2, 5, 11)),
    (nn.Conv2d(1, 2, 2, 4), (1, 7, 7)),  # gaps that no position sees
    (nn.Conv2d(2, 3, 1, bias=False), (2, 3, 4)),
    (nn.Linear(7, 4), (7,)),
]


def stage_of(layer: nn.Module, before: tuple[int, ...]) -> Link:
    layer = layer.double()
    return Link("", layer, before, tuple(layer(torch.zeros(1, *before, dtype=torch.float64)).shape[1:]))


@pytest.fixture(params=SHAPES, ids=lambda pair: f"{pair[0]} on {pair[1]}")
def link(request: pytest.FixtureRequest) -> Link:
    torch.manual_seed(0)
    return stage_of(*request.param)


def drawn(link: Link) -> tuple[Tensor, Tensor]:
    """An input and an error signal at the output."""
    return torch.randn(link.before, dtype=torch.float64), torch.randn(link.after, dtype=torch.float64)


def test_the_forward_matrix_is_the_layer_without_its_bias(link: Link) -> None:
    h, _ = drawn(link)
    matrix = forward_matrix(geometry(link), kernel(link.layer))
    bias = link.layer.bias
    expected = link.layer(h[None])[0]
    if bias is not None:
        expected = expected - bias.reshape(-1, *(1,) * (expected.dim() - 1))  # type: ignore[operator]
    assert torch.allclose(matrix @ h.flatten(), expected.flatten())
    assert torch.allclose(apply(link.layer, h[None])[0], expected)


def test_the_rows_of_the_error_signal_give_the_weight_s_gradient(link: Link) -> None:
    h, error = drawn(link)
    scores = (link.layer(h[None])[0] * error).sum()
    [gradient] = torch.autograd.grad(scores, link.layer.weight)  # type: ignore[arg-type]
    shape = geometry(link)
    rows = unfolded_error(shape, error.reshape(len(gradient), -1))
    assert torch.allclose(h.reshape(shape.channels, -1) @ rows.T, rows_of(gradient))


def test_the_transposed_layer_is_what_autograd_sends_down(link: Link) -> None:
    h, error = drawn(link)
    h.requires_grad_()
    [expected] = torch.autograd.grad((link.layer(h[None])[0] * error).sum(), h)
    assert torch.allclose(transposed(link, error[None])[0], expected)


def test_variances_go_through_squared_weights(link: Link) -> None:
    variance = drawn(link)[1].square()
    matrix = forward_matrix(geometry(link), kernel(link.layer))
    expected = (matrix.square().T @ variance.flatten()).reshape(link.before)
    assert torch.allclose(transposed(link, variance[None], squared=True)[0], expected)


def test_the_normal_matrix_is_that_of_the_forward_matrix(link: Link) -> None:
    shape, weight = geometry(link), kernel(link.layer)
    precision = torch.rand(len(weight), len(shape.patch), dtype=torch.float64) + 0.1
    matrix = forward_matrix(shape, weight)
    assert torch.allclose(forward_normal(shape, weight, precision), matrix.T @ (precision.reshape(-1, 1) * matrix))


def test_a_transposed_convolution_agrees_with_pytorch_s() -> None:
    link = stage_of(nn.Conv2d(2, 3, 5, 2, 2), (2, 8, 8))
    error = torch.randn(1, *link.after, dtype=torch.float64)
    weight = link.layer.weight
    assert isinstance(weight, Tensor)
    assert torch.allclose(transposed(link, error), functional.conv_transpose2d(error, weight, None, 2, 2, 1))
