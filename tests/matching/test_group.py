"""Group consistency: shifts are found and undone, and restarts are drawn to what they agree on."""

from __future__ import annotations

import pytest
import torch
from made_updates import photographs
from torch import Tensor

from invbench.matching.group import as_it_is, by_shift, consensus, towards_consensus


def pictures(count: int) -> Tensor:
    return photographs(count)[0]


@pytest.mark.parametrize(("down", "right"), [(2, -1), (-2, 2), (1, 0)])
def test_a_shifted_picture_is_brought_back(down: int, right: int) -> None:
    picture = torch.nn.functional.interpolate(pictures(1), size=32, mode="bilinear")[0]
    back = by_shift(picture.roll((down, right), (1, 2)), picture)
    inside = slice(4, -4)
    torch.testing.assert_close(back[:, inside, inside], picture[:, inside, inside])


def test_what_fits_no_better_elsewhere_stays_where_it_is() -> None:
    one, *_ = pictures(1)
    assert torch.equal(by_shift(one, one), one)
    flat = torch.zeros_like(one)
    assert torch.equal(by_shift(flat, one), flat)
    assert torch.equal(by_shift(one, flat), one)


def test_a_shift_is_at_most_an_eighth_of_the_side() -> None:
    noise = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for picture in noise:
        moved = by_shift(picture.roll(5, 2), picture)
        shifts = [s for s in range(-15, 16) if torch.equal(moved[..., 4:-4], picture.roll(5 + s, 2)[..., 4:-4])]
        assert all(abs(shift) <= 2 for shift in shifts)


def test_the_consensus_is_of_registered_pictures_and_the_lazy_one_of_pictures_as_they_are() -> None:
    picture = torch.nn.functional.interpolate(pictures(1), size=32, mode="bilinear")
    restarts = torch.stack([picture, picture, picture.roll(2, 3)])  # (3, 1, C, H, W)
    labels, inside = torch.zeros(1, dtype=torch.int64), slice(6, -6)
    agreed = consensus(restarts, labels, by_shift)[0, 0, :, inside, inside]
    lazy = consensus(restarts, labels, as_it_is)[0, 0]
    torch.testing.assert_close(lazy, restarts.mean(dim=0)[0])
    error, lazily = ((one - picture[0, :, inside, inside]).abs().mean() for one in (agreed, lazy[:, inside, inside]))
    assert error < 0.1 * lazily


def test_pictures_of_one_label_may_have_changed_places_between_restarts() -> None:
    one = pictures(4)
    labels = torch.tensor([3, 5, 3, 5])
    other = one[[2, 1, 0, 3]]
    agreed = consensus(torch.stack([one, other]), labels, as_it_is)
    torch.testing.assert_close(agreed[0], one)
    torch.testing.assert_close(agreed[1], other)
    different = consensus(torch.stack([one, other]), torch.arange(4), as_it_is)
    torch.testing.assert_close(different[0][0], (one[0] + one[2]) / 2)


def test_the_pull_is_the_slope_of_its_value_and_begins_when_it_should() -> None:
    restarts = torch.stack([pictures(2), pictures(2) * 0.5, pictures(2) - 0.1]).double()
    shape, flat, lanes = tuple(restarts.shape[1:]), restarts.flatten(1), torch.arange(3)
    pull = towards_consensus(shape, torch.arange(2), 0.3, 10, 5, as_it_is)
    slope, value = pull(9, flat, lanes)
    assert not slope.any()
    assert not value.any()
    slope, value = pull(10, flat, lanes)
    agreed = restarts.mean(dim=0)
    expected = 0.3 * (restarts - agreed).flatten(2).norm(dim=2).sum(dim=1)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(slope.norm(dim=1), torch.full((3,), 0.3 * 2**0.5).double())  # 0.3 a picture
    moved = flat - 1e-6 * slope
    fallen = (value - pull(11, moved, lanes)[1]) / 1e-6
    torch.testing.assert_close(fallen, slope.square().sum(dim=1), rtol=1e-4, atol=0)
    assert torch.equal(pull(12, agreed.flatten()[None].expand(3, -1), lanes)[1], torch.zeros(3).double())
    assert not torch.equal(pull(15, flat + torch.arange(3)[:, None], lanes)[1], value), "found anew after 5 steps"


def test_what_stands_behind_the_pixels_is_not_drawn() -> None:
    restarts = torch.stack([pictures(1), pictures(1) * 0.5])
    behind = torch.cat([restarts.flatten(1), torch.tensor([[1.0], [5.0]])], dim=1)
    pull = towards_consensus(tuple(restarts.shape[1:]), torch.zeros(1, dtype=torch.int64), 1.0, 1, 1, as_it_is)
    slope, value = pull(1, behind, torch.arange(2))
    assert slope.shape == behind.shape
    assert not slope[:, -1].any()
    assert bool((value > 0).all())


def test_nobody_is_drawn_alone_and_who_left_is_no_part_of_it() -> None:
    restarts = torch.stack([pictures(1), pictures(1) * 0.5, pictures(1) * 100])
    shape, flat = tuple(restarts.shape[1:]), restarts.flatten(1)
    pull = towards_consensus(shape, torch.zeros(1, dtype=torch.int64), 1.0, 1, 100, as_it_is)
    pull(1, flat, torch.arange(3))
    _, value = pull(2, flat[:2], torch.arange(2))
    torch.testing.assert_close(value, ((flat[0] - flat[1]) / 2).norm().expand(2))
    assert not pull(3, flat[:1], torch.arange(1))[0].any()
