"""The classifier's input and error signal from its own gradient: with bias, without, under noise, scaled."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from invbench.peeling.top import Top, read_top

LABELS = [0, 3]


def gradients(layer: nn.Linear, h: Tensor, label: int) -> tuple[Tensor, Tensor]:
    """p - y, and its outer product with h."""
    error = layer(h).detach().softmax(dim=0)
    error[label] -= 1
    return torch.outer(error, h), error


def made(*, bias: bool, size: int = 20, classes: int = 5) -> tuple[nn.Linear, Tensor]:
    torch.manual_seed(1)
    layer = nn.Linear(size, classes, bias=bias, dtype=torch.float64)
    return layer, torch.randn(size, dtype=torch.float64)


def read(
    layer: nn.Linear, h: Tensor, label: int, *, std: float = 1e-9, scale: float = 1.0, scaled: bool = False
) -> Top:
    weight, error = gradients(layer, h, label)
    stream = torch.Generator().manual_seed(2)

    def noisy(tensor: Tensor) -> Tensor:
        return scale * (tensor + std * torch.randn(tensor.shape, generator=stream, dtype=tensor.dtype))

    variance = (scale * std) ** 2
    bias = None if layer.bias is None else noisy(error)
    variances = torch.full_like(weight, variance), None if bias is None else torch.full_like(bias, variance)
    return read_top(layer, noisy(weight), bias, variances, scaled=scaled)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("bias", [True, False])
def test_input_error_signal_and_label_are_read_exactly(bias: bool, label: int) -> None:
    layer, h = made(bias=bias)
    top = read(layer, h, label)
    assert torch.allclose(top.signal.value, h, atol=1e-6)
    assert torch.allclose(top.signal.slope, layer.weight.detach().T @ gradients(layer, h, label)[1], atol=1e-6)
    assert (top.labels[0], top.scale) == (label, 1.0)
    assert 0.3 < top.residual < 3


@pytest.mark.parametrize("scale", [1e-3, 0.2, 7.0])
@pytest.mark.parametrize("bias", [True, False])
def test_a_factor_on_the_update_is_found_from_the_forward_pass(bias: bool, scale: float) -> None:
    layer, h = made(bias=bias)
    top = read(layer, h, 3, scale=scale, scaled=True)
    assert top.scale == pytest.approx(scale, rel=1e-4)
    assert torch.allclose(top.signal.value, h, rtol=1e-4, atol=1e-4)
    assert torch.allclose(top.signal.slope, layer.weight.detach().T @ gradients(layer, h, 3)[1], atol=1e-4)
    assert top.labels[0] == 3


def test_the_stated_variance_is_the_error_under_noise() -> None:
    layer, h = made(bias=True, size=400)
    top = read(layer, h, 1, std=1e-4)
    ratio = ((top.signal.value - h).square() / top.signal.value_variance).mean()
    assert 0.7 < float(ratio) < 1.4
    assert float((top.signal.value - h).abs().max()) < 1e-2


def test_entries_that_were_not_shared_are_not_read() -> None:
    layer, h = made(bias=True)
    weight, error = gradients(layer, h, 2)
    hidden = torch.rand(weight.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    variance = torch.full_like(weight, 1e-20)
    variance[hidden] = torch.inf
    top = read_top(layer, weight.masked_fill(hidden, 0.0), error, (variance, torch.full_like(error, 1e-20)))
    assert torch.allclose(top.signal.value, h, atol=1e-6)


@pytest.mark.parametrize("bias", [True, False])
def test_what_is_no_gradient_gives_finite_numbers_and_a_large_residual(bias: bool) -> None:
    layer, _ = made(bias=bias)
    weight = torch.randn(5, 20, generator=torch.Generator().manual_seed(0)).double()
    noise = torch.randn(5, generator=torch.Generator().manual_seed(1)).double() if bias else None
    spread = torch.full_like(weight, 1e-12), torch.full((5,), 1e-12, dtype=torch.float64) if bias else None
    top = read_top(layer, weight, noise, spread)
    assert all(bool(tensor.isfinite().all()) for tensor in vars(top.signal).values())
    assert top.residual > 100
