"""Boundary repulsion: the centre leaves the boundary, the radius grows, and only labels are read."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from invbench.inversion.repulsion import INSIDE, Sphere

MIDDLE, SIDE = 0.6, 0.25


def box(asked: list[int]) -> object:
    """Whether points are in a cube around MIDDLE."""

    def inside(points: Tensor) -> Tensor:
        asked.append(len(points))
        return ((points - MIDDLE).abs() < SIDE).all(dim=1)

    return inside


def search(seed: int = 0, **said: float) -> tuple[list[tuple[Tensor, float]], list[int]]:
    asked: list[int] = []
    sphere = Sphere(**{"radius": 0.05, "patience": 30} | said)  # type: ignore[arg-type]
    start = torch.full((4,), MIDDLE - 0.9 * SIDE)
    found = sphere.search(box(asked), start, torch.Generator().manual_seed(seed))  # type: ignore[arg-type]
    return [(centre.point, centre.radius) for centre in found], asked


def test_from_a_corner_it_comes_to_the_middle_with_ever_larger_spheres() -> None:
    found, _ = search()
    radii = [radius for _, radius in found]
    assert radii == sorted(radii)
    assert all(math.isclose(radii[0] * 1.3**k, radius) for k, radius in enumerate(radii))
    assert radii[-1] > 0.8 * SIDE
    assert float((found[-1][0] - MIDDLE).abs().max()) < 0.5 * SIDE


def test_every_centre_is_of_the_class_and_most_of_its_sphere() -> None:
    found, _ = search()
    for point, radius in found:
        assert bool(((point - MIDDLE).abs() < SIDE).all())
        around = torch.randn(500, 4, generator=torch.Generator().manual_seed(1))
        around = point + radius * around / around.norm(dim=1, keepdim=True)
        assert float(((around - MIDDLE).abs() < SIDE).all(dim=1).float().mean()) > INSIDE - 0.25


def test_a_step_asks_its_points_and_the_next_centre() -> None:
    _, asked = search(points=16)
    assert set(asked) == {16, 1}


def test_patience_ends_it_and_its_stream_decides_it() -> None:
    (first, asked), (again, _), (other, _) = search(), search(), search(seed=3)
    assert asked.count(32) <= 30 * (len(first) + 1)
    assert torch.equal(first[-1][0], again[-1][0])
    assert not torch.equal(first[-1][0], other[-1][0])
