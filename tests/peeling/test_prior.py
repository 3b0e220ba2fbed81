"""The Gaussian prior on pictures: its precision is the inverse of the covariance that it states."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from invbench.peeling.prior import ALIKE, COLOURS, energy, precision

SHAPES = [(3, 4, 5), (1, 6, 3), (2, 1, 4), (3, 1, 1)]


def covariance(shape: tuple[int, int, int]) -> Tensor:
    """Of every two pixels: ALIKE to the power of their distance along each axis, COLOURS between channels."""
    places = torch.cartesian_prod(*(torch.arange(side) for side in shape)).reshape(-1, 3)
    channel, row, column = (places[:, None] - places[None]).abs().unbind(dim=2)
    apart = ALIKE ** (row + column).double()
    return torch.where(channel == 0, apart, COLOURS * apart)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_precision_is_the_inverse_of_the_covariance(shape: tuple[int, int, int]) -> None:
    size = len(covariance(shape))
    assert torch.allclose(precision(shape) @ covariance(shape), torch.eye(size, dtype=torch.float64), atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_energy_of_a_batch_is_the_sum_of_its_quadratic_forms(shape: tuple[int, int, int]) -> None:
    images = torch.randn(3, *shape)
    flat = images.double().flatten(1)
    expected = float(torch.einsum("bi,ij,bj->", flat, precision(shape), flat))
    assert energy(images) == pytest.approx(expected)


def test_the_energy_of_a_picture_of_the_prior_s_own_is_about_one_a_pixel() -> None:
    factor = torch.linalg.cholesky(covariance((3, 6, 6)))
    noise = torch.randn(108, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert energy((factor @ noise).T.reshape(50, 3, 6, 6)) / (50 * 108) == pytest.approx(1, abs=0.1)
