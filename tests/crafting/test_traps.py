"""Rows that rarely fire: their numbers, what they measure, what normalisation would do to them."""

from __future__ import annotations

import pytest
import torch

from invbench.crafting.traps import SCALES, draw_traps, folded, stream_of, tuned_scale


def uniform(count: int, inputs: int) -> torch.Tensor:
    return torch.rand(count, inputs, generator=torch.Generator().manual_seed(5))


def test_the_positive_numbers_of_a_row_are_its_negative_ones_scaled() -> None:
    row = draw_traps(3, 64, 0.5, torch.Generator().manual_seed(0)).rows(0.9)[1]
    assert (int((row < 0).sum()), int((row > 0).sum())) == (32, 32)
    assert torch.allclose(row[row > 0].sort().values, (-0.9 * row[row < 0]).sort().values)
    assert float(row[row < 0].square().mean().sqrt()) == pytest.approx(0.5, abs=0.1)


def test_a_smaller_scale_fires_less_and_scale_1_is_a_passive_row() -> None:
    traps, pictures = draw_traps(200, 256, 0.5, torch.Generator().manual_seed(0)), uniform(20, 256)
    fired = [float((pictures @ traps.rows(scale).T > 0).double().mean()) for scale in (0.8, 0.9, 1.0)]
    assert fired[0] < fired[1] < fired[2]
    assert fired[2] == pytest.approx(0.5, abs=0.05)
    assert traps.recall(pictures, tuned_scale(traps, pictures, 20)) > traps.recall(pictures, 1.0) + 0.3


def test_recall_counts_pictures_that_fire_a_unit_alone() -> None:
    traps = draw_traps(2, 2, 1.0, torch.Generator().manual_seed(0))
    rows = traps.rows(1.0)
    alone = (rows > 0).float()  # each picture bright at one unit's positive place
    assert traps.recall(alone[:1], 1.0) == 1
    assert traps.recall(alone[[0, 0]], 1.0) == 0, "two of the same fire every unit together"


def test_the_scale_is_chosen_on_whole_batches() -> None:
    traps, pictures = draw_traps(50, 64, 0.5, torch.Generator().manual_seed(0)), uniform(25, 64)
    assert tuned_scale(traps, pictures, 10) in SCALES
    assert tuned_scale(traps, pictures, 10) == tuned_scale(traps, pictures[:20], 10)


def test_folding_makes_of_normalised_pixels_what_the_rows_make_of_pixels() -> None:
    rows, pixels = draw_traps(5, 6, 0.5, torch.Generator().manual_seed(0)).rows(0.9), uniform(4, 6)
    mean, std = torch.tensor([0.5, 0.4, 0.3] * 2), torch.tensor([0.3, 0.2, 0.1] * 2)
    weight, bias = folded(rows, mean, std)
    assert torch.allclose((pixels - mean) / std @ weight.T + bias, pixels @ rows.T, atol=1e-5)


def test_draws_follow_from_the_weights_alone() -> None:
    one, other = torch.zeros(2, 3), torch.ones(2, 3)
    assert torch.equal(torch.rand(3, generator=stream_of(one)), torch.rand(3, generator=stream_of(one.clone())))
    assert not torch.equal(torch.rand(3, generator=stream_of(one)), torch.rand(3, generator=stream_of(other)))
