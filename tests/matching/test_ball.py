"""Projection onto l1 balls, against the conditions of the nearest point, and lanes kept in theirs."""

from __future__ import annotations

import torch
from torch import Tensor

from invbench.matching.ball import onto_ball, within_balls


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_point_inside_stays_and_one_outside_comes_to_the_nearest_point_of_the_ball() -> None:
    rows = torch.tensor([[3.0, -1.0, 0.5], [0.2, 0.1, -0.3], [1.0, 1.0, 0.0]])
    found = onto_ball(rows, torch.tensor([2.0, 1.0, 1.0]))
    torch.testing.assert_close(found, torch.tensor([[2.0, 0.0, 0.0], [0.2, 0.1, -0.3], [0.5, 0.5, 0.0]]))


def test_no_other_point_of_the_ball_is_nearer() -> None:
    """For the nearest point p of v in a convex set, (v - p) . (q - p) <= 0 for every q of the set: its corners do."""
    rows, radii = drawn(6, 5), torch.linspace(0.1, 2.0, 6, dtype=torch.float64)
    found = onto_ball(rows, radii)
    assert bool((found.abs().sum(dim=1) <= radii + 1e-12).all())
    corners = radii[:, None, None] * torch.cat([torch.eye(5), -torch.eye(5)]).double()  # (6, 10, 5)
    turned = ((rows - found)[:, None] * (corners - found[:, None])).sum(dim=2)
    assert float(turned.max()) < 1e-12
    assert not torch.equal(found, rows)


def test_a_ball_of_radius_zero_moves_nothing_from_its_centre() -> None:
    centres, moved = drawn(2, 6), drawn(2, 8, seed=1)
    held = within_balls(centres, 3, 0.0)(moved, torch.arange(2))
    torch.testing.assert_close(held[:, :6], centres)
    assert torch.equal(held[:, 6:], moved[:, 6:]), "numbers behind them are left alone"


def test_each_part_of_each_lane_has_a_ball_of_its_own() -> None:
    centres = torch.tensor([[1.0, 0.0, 10.0, 0.0], [2.0, 0.0, 0.0, 4.0]])
    held = within_balls(centres, 2, 0.5)(centres + 100.0, torch.tensor([0, 1]))
    apart = (held - centres).reshape(2, 2, 2).abs().sum(dim=2)
    torch.testing.assert_close(apart, torch.tensor([[0.5, 5.0], [1.0, 2.0]]))
    later = within_balls(centres, 2, 0.5)(centres[1:] + 100.0, torch.tensor([1]))  # the first lane has left
    torch.testing.assert_close(later[0], held[1])
