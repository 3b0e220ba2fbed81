"""Encodings read off exclusive units, and pictures from magnitudes of their mixtures: exact but for signs in common."""

from __future__ import annotations

import pytest
import torch
from made_updates import MEAN, STD, normalised, observe, photographs, victim
from torch import Tensor

from invbench.inversion.common_signs import with_common_signs
from invbench.inversion.exclusive import exclusive_inputs
from invbench.inversion.unmixing import unmixed
from invbench.models.mlp import MLP

IMAGES, LABELS = photographs(4)
PICTURES = normalised(IMAGES).double()
FLAT = PICTURES.flatten(1)


def encodings(rounds: int, *, alone: int) -> Tensor:
    """Magnitudes of mixtures of two of the pictures, each of which is seen alone so often."""
    stream = torch.Generator().manual_seed(0)
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j][:rounds]
    weights = 0.35 + 0.3 * torch.rand(len(pairs), generator=stream, dtype=torch.float64)
    mixed = [w * FLAT[i] + (1 - w) * FLAT[j] for (i, j), w in zip(pairs, weights, strict=True)]
    return torch.stack([*mixed, *FLAT[:3].repeat(alone, 1), FLAT[3]]).abs()


@pytest.mark.parametrize("batch", [2, 4])
def test_units_that_one_picture_alone_makes_active_tell_it_exactly(batch: int) -> None:
    network = victim(IMAGES, model=MLP(width=256))
    seen = observe(network, IMAGES[:batch], LABELS[:batch])
    found = exclusive_inputs(seen.update[0], seen.update[1], batch)
    off = torch.cdist(found, FLAT[:batch]).amin(dim=0) / FLAT[:batch].norm(dim=1)
    assert len(found) == batch
    assert float(off.max()) < 1e-5


def test_no_input_is_read_where_every_unit_is_active_for_all() -> None:
    weight = torch.outer(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.ones(5)) + torch.eye(4, 5)
    assert len(exclusive_inputs(weight, torch.tensor([1.0, 2.0, 3.0, 4.0]), 2)) == 0


def test_pictures_are_found_up_to_one_sign_a_value_one_of_them_seen_alone_only_once() -> None:
    given = encodings(12, alone=2)
    made = unmixed(given, 4)
    assert made is not None
    assert len(made.pictures) == 4
    assert made.explained == len(given)
    which = torch.cdist(made.pictures.abs(), FLAT.abs()).argmin(dim=1)
    assert sorted(which.tolist()) == [0, 1, 2, 3]
    ratio = (made.pictures * FLAT[which]).sign()
    told = FLAT.abs().amin(dim=0) > 0.02  # a value near zero has no sign that magnitudes would show
    assert bool((ratio[:, told] == ratio[:1, told]).all())


def test_pictures_that_are_never_seen_alone_twice_are_not_found() -> None:
    assert unmixed(encodings(12, alone=1)[:12], 4) is None


def test_smoothness_and_range_give_the_signs_that_four_photographs_share() -> None:
    mean, std = (torch.tensor(constants).double().reshape(-1, 1, 1) for constants in (MEAN, STD))
    hidden = PICTURES * PICTURES[0].sign()
    found = with_common_signs(hidden, -mean / std, (1 - mean) / std)
    wrong = (found * PICTURES < 0) & (PICTURES.abs() > 0.1)
    assert float(wrong.double().mean()) < 0.01


def test_one_value_outside_of_the_range_turns_all_that_hang_together() -> None:
    picture = torch.full((1, 1, 3, 3), 0.5, dtype=torch.float64)
    picture[0, 0, 1, 1] = 1.5
    low, high = torch.full((1, 1, 1), -1.0), torch.full((1, 1, 1), 2.0)
    assert torch.equal(with_common_signs(-picture, low, high), picture)
