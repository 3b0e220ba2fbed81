"""Total variation, by hand."""

from __future__ import annotations

import pytest
import torch

from invbench.matching.regularisers import total_variation


def test_it_is_the_mean_absolute_difference_along_rows_plus_that_along_columns() -> None:
    picture = torch.tensor([[[[0.0, 1.0, 3.0], [2.0, 2.0, -2.0]]]])
    along_rows = (1 + 2 + 0 + 4) / 4
    along_columns = (2 + 1 + 5) / 3
    assert float(total_variation(picture)) == pytest.approx(along_rows + along_columns)


def test_channels_and_pictures_are_averaged() -> None:
    one, two = torch.rand(2, 1, 1, 5, 4, generator=torch.Generator().manual_seed(0))
    mean = (total_variation(one) + total_variation(two)) / 2
    torch.testing.assert_close(total_variation(torch.cat([one, two])), mean)
    torch.testing.assert_close(total_variation(torch.cat([one, two], dim=1)), mean)


def test_no_difference_is_taken_between_channels_nor_around_the_border() -> None:
    levels = torch.tensor([0.0, 1.0, 5.0]).reshape(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert float(total_variation(levels)) == 0
    ramp = torch.arange(5.0).expand(1, 1, 3, 5)
    assert float(total_variation(ramp)) == 1


@pytest.mark.parametrize(("height", "width", "expected"), [(1, 1, 0.0), (1, 3, 1.0), (3, 1, 3.0)])
def test_a_picture_one_pixel_high_or_wide_has_no_difference_that_way(height: int, width: int, expected: float) -> None:
    picture = 3 * torch.arange(height).reshape(-1, 1) + torch.arange(width)
    assert float(total_variation(picture.reshape(1, 1, height, width).float())) == expected
