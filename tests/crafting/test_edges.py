"""Bins of equal probability from a sample."""

from __future__ import annotations

import pytest
import torch

from invbench.crafting.edges import equal_bins


def normals(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def counts(edges: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return torch.histc(torch.searchsorted(edges, values).double(), bins=len(edges) - 1, min=1, max=len(edges) - 1)


@pytest.mark.parametrize("shape", [lambda v: v, torch.exp, lambda v: v.sign() * (2 + v.abs())], ids=["n", "exp", "two"])
def test_new_values_fall_into_every_bin_equally_often_whatever_their_distribution(shape: object) -> None:
    assert callable(shape)
    edges = equal_bins(shape(normals(2000)), bins=50, knot=30)
    assert (edges.diff() > 0).all()
    held = counts(edges, shape(normals(200_000, seed=1))) / 4000
    assert float((held - 1).square().mean().sqrt()) < 0.25, "of 2,000 values a knot is sure to 1 / sqrt(30)"


def test_every_value_is_in_some_bin_and_few_make_a_normal() -> None:
    edges = equal_bins(torch.tensor([0.0, 2.0]), bins=4, knot=30)
    assert edges[1:-1].tolist() == pytest.approx([1 - 0.6745 * 2**0.5, 1, 1 + 0.6745 * 2**0.5], abs=1e-3)
    assert (edges[0], edges[-1]) == pytest.approx((-10 * 2**0.5, 2 + 10 * 2**0.5))


def test_a_coarser_quantile_function_leaves_more_pictures_alone() -> None:
    """The expected share alone in a bin, (1 + (n - 1) / (k q))^-(q + 1): through every value the sample's accidents."""
    alone = []
    for knot in (2, 30):
        shares = []
        for seed in range(8):
            edges = equal_bins(normals(400, seed), bins=200, knot=knot)
            new = counts(edges, normals(12_800, seed + 100)) / 12_800
            shares.append(float((new * (1 - new) ** 31).sum()))
        alone.append(sum(shares) / 8)
    assert alone[1] - alone[0] > 0.02
    assert alone[1] > 0.82  # equal bins: (1 - 1 / 200)^31 = 0.856


def test_pictures_of_one_brightness_have_no_bins() -> None:
    with pytest.raises(ValueError, match="differ in brightness"):
        equal_bins(torch.ones(5), bins=4, knot=30)


def test_the_order_statistics_stand_at_their_ranks_among_one_more() -> None:
    """Between nine values a tenth falls equally likely into each of ten gaps: they are the edges themselves."""
    values = torch.tensor([1.0, 2.0, 4.0, 7.0, 8.0, 12.0, 13.0, 20.0, 21.0], dtype=torch.float64)
    torch.testing.assert_close(equal_bins(values, 10, 1)[1:-1], values)
