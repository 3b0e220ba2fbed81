"""Down through activations, BatchNorm and average pooling: values, slopes, and the variance of both."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from invbench.peeling.elementwise import INVERTIBLE, UNKNOWN, activation, below_activation, below_batch_norm
from invbench.peeling.pooling import below_pooling, pooling_matrix
from invbench.peeling.signal import Signal

GRID = torch.linspace(-4, 4, 161, dtype=torch.float64)  # with zero, where some have a kink
LAYERS = [
    nn.Sigmoid(), nn.Tanh(), nn.LeakyReLU(), nn.LeakyReLU(0.3), nn.ELU(), nn.ELU(0.5), nn.Softplus(),
    nn.Softplus(beta=2.0), nn.ReLU(),
]  # fmt: skip
SMOOTH = [layer for layer in LAYERS if not isinstance(layer, nn.ReLU | nn.LeakyReLU)]


def exactly(value: Tensor, slope: Tensor | None = None) -> Signal:
    slope = torch.ones_like(value) if slope is None else slope
    return Signal(value, torch.zeros_like(value), slope, torch.zeros_like(value))


def derivatives(layer: nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
    """First and second, by autograd."""
    z = z.clone().requires_grad_()
    [first] = torch.autograd.grad(layer(z).sum(), z, create_graph=True)
    if not first.requires_grad:
        return first, torch.zeros_like(z)
    [second] = torch.autograd.grad(first.sum(), z, allow_unused=True)
    return first.detach(), torch.zeros_like(z) if second is None else second


def test_every_activation_that_is_inverted_is_tested_here() -> None:
    assert {type(layer) for layer in LAYERS} == set(INVERTIBLE)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_an_inverse_undoes_its_activation(layer: nn.Module) -> None:
    z = GRID[GRID > 0] if isinstance(layer, nn.ReLU) else GRID
    assert torch.allclose(INVERTIBLE[type(layer)].inverse(layer, layer(z)), z, atol=1e-9)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_derivatives_are_those_of_autograd(layer: nn.Module) -> None:
    z = GRID[GRID != 0]  # at zero a kink has no slope, and ELU's second derivative jumps
    first, second = activation(layer, z)
    expected = derivatives(layer, z)
    assert torch.allclose(first, expected[0], atol=1e-12)
    assert torch.allclose(second, expected[1], atol=1e-12)


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if not isinstance(layer, nn.ReLU)], ids=str)
def test_value_and_slope_come_down_exactly(layer: nn.Module) -> None:
    z = GRID[GRID != 0]
    below = below_activation(layer, exactly(layer(z), torch.sin(z)))
    assert torch.allclose(below.value, z, atol=1e-6)
    assert torch.allclose(below.slope, torch.sin(z) * activation(layer, z)[0], atol=1e-6)


@pytest.mark.parametrize("layer", SMOOTH, ids=str)
def test_variances_come_down_as_many_draws_have_them(layer: nn.Module) -> None:
    z, stream = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64), torch.Generator().manual_seed(0)
    deviation = 1e-4 * activation(layer, z)[0]
    noise = torch.randn(2, 4000, 3, generator=stream, dtype=torch.float64)
    above = Signal(layer(z), deviation.square(), torch.full_like(z, 0.7), torch.full_like(z, 1e-10))
    below = below_activation(layer, above)
    drawn = below_activation(layer, exactly(layer(z) + deviation * noise[0], 0.7 + 1e-5 * noise[1]))
    assert torch.allclose(drawn.value.var(dim=0), below.value_variance, rtol=0.1)
    assert torch.allclose(drawn.slope.var(dim=0), below.slope_variance, rtol=0.1)


@pytest.mark.parametrize("layer", SMOOTH, ids=str)
def test_a_value_beyond_the_range_is_finite_and_hardly_known(layer: nn.Module) -> None:
    low = INVERTIBLE[type(layer)].low(layer)
    beyond = torch.tensor([low - 0.01, low], dtype=torch.float64)
    above = Signal(beyond, torch.full_like(beyond, 1e-4), torch.ones_like(beyond), torch.zeros_like(beyond))
    below = below_activation(layer, above)
    assert all(bool(tensor.isfinite().all()) for tensor in vars(below).values())
    assert bool((below.value_variance > 0.1).all())


def test_where_a_relu_is_silent_nothing_is_known_but_that_no_error_passes() -> None:
    above = exactly(torch.tensor([0.0, 2.0, 1e-9], dtype=torch.float64))
    above = Signal(above.value, torch.full_like(above.value, 1e-12), above.slope, above.slope_variance)
    below = below_activation(nn.ReLU(), above)
    assert below.value.tolist() == [0.0, 2.0, 0.0]
    assert below.value_variance[[0, 2]].tolist() == [UNKNOWN, UNKNOWN]
    assert 1e-12 < below.value_variance[1] < 2e-12  # and what the layer below rounded
    assert below.slope.tolist() == [0.0, 1.0, 0.0]


def test_where_an_error_may_hide_what_passes_a_relu_the_slope_is_in_doubt() -> None:
    value, variance = torch.tensor([0.0, 2.0], dtype=torch.float64), torch.tensor([4.0, 1e-12], dtype=torch.float64)
    below = below_activation(nn.ReLU(), Signal(value, variance, torch.ones_like(value), torch.zeros_like(value)))
    assert below.slope.tolist() == [0.5, 1.0]
    assert below.slope_variance.tolist() == [0.25, 0.0]


def test_near_the_kink_of_a_leaky_relu_the_slope_is_in_doubt() -> None:
    value = torch.tensor([0.0, 3.0], dtype=torch.float64)
    above = Signal(value, torch.full_like(value, 0.01), torch.ones_like(value), torch.zeros_like(value))
    near, far = below_activation(nn.LeakyReLU(0.1), above).slope_variance.tolist()
    assert near == pytest.approx(0.81 / 2)
    assert far < 1e-6


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_is_undone_from_its_running_statistics(affine: bool) -> None:
    layer = nn.BatchNorm2d(3, affine=affine, dtype=torch.float64).eval()
    assert layer.running_mean is not None
    assert layer.running_var is not None
    layer.running_mean.normal_(generator=torch.Generator().manual_seed(0))
    layer.running_var.uniform_(0.5, 2, generator=torch.Generator().manual_seed(1))
    if affine:
        nn.init.uniform_(layer.weight, 0.5, 2)
        nn.init.uniform_(layer.bias, -1, 1)
    x = torch.randn(3, 4, 4, dtype=torch.float64).requires_grad_()
    above = layer(x[None])[0]
    slope = torch.randn(3, 4, 4, dtype=torch.float64)
    below = below_batch_norm(layer, exactly(above.detach(), slope))
    assert torch.allclose(below.value, x.detach())
    assert torch.allclose(below.slope, torch.autograd.grad((above * slope).sum(), x)[0])


def test_a_channel_that_batch_norm_silenced_is_unknown() -> None:
    layer = nn.BatchNorm1d(2, dtype=torch.float64).eval()
    with torch.no_grad():
        layer.weight[0] = 0.0
    below = below_batch_norm(layer, exactly(layer(torch.tensor([[3.0, 4.0]], dtype=torch.float64))[0].detach()))
    assert below.value_variance.tolist() == [UNKNOWN, 0.0]
    assert float(below.value[1]) == pytest.approx(4.0)


POOLS = [
    (nn.AvgPool2d(2), (2, 6, 4)), (nn.AvgPool2d(3, 2, 1), (1, 7, 6)), (nn.AvgPool2d((2, 3), (1, 2)), (2, 5, 6)),
    (nn.AvgPool2d(3, 1, 1, count_include_pad=False), (1, 4, 4)), (nn.AdaptiveAvgPool2d((2, 3)), (2, 5, 7)),
    (nn.AdaptiveAvgPool2d(1), (3, 4, 4)), (nn.AvgPool2d(2), (1, 5, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "shape"), POOLS, ids=str)
def test_pooling_is_its_matrix_and_its_slope_goes_back_exactly(layer: nn.Module, shape: tuple[int, int, int]) -> None:
    x = torch.randn(shape, dtype=torch.float64).requires_grad_()
    above = layer(x[None])[0]
    matrix = pooling_matrix(layer, shape)
    assert torch.allclose((x.reshape(shape[0], -1) @ matrix.T).reshape(above.shape), above)
    slope = torch.randn_like(above)
    below = below_pooling(layer, exactly(above.detach(), slope), shape, 2.0)
    assert torch.allclose(below.slope, torch.autograd.grad((above * slope).sum(), x)[0])
    assert bool((below.value_variance >= 2.0).all())  # a pool hides how its members differ
    assert all(tensor.shape == shape for tensor in vars(below).values())


def test_what_a_pool_of_equals_was_is_known_by_value() -> None:
    flat = torch.full((1, 4, 4), 0.7, dtype=torch.float64)
    below = below_pooling(nn.AvgPool2d(2), exactly(torch.full((1, 2, 2), 0.7, dtype=torch.float64)), (1, 4, 4), 1.0)
    assert torch.allclose(below.value, flat)
