"""Which candidates are given back, without any truth."""

from __future__ import annotations

import torch

from invbench.crafting.ranking import best_first, of_bytes, possible, same_pictures


def test_possible_pictures_come_first_then_the_trusted_and_one_for_all_that_are_the_same() -> None:
    images = torch.tensor([2.0, 0.5, 0.5, 0.1]).reshape(4, 1, 1, 1).double()
    trust, same = torch.tensor([9.0, 1.0, 2.0, 0.0]), same_pictures(images)
    assert best_first(trust, images, 4) == [2, 1, 3, 0]
    assert best_first(trust, images, 4, same) == [2, 3, 0]
    assert best_first(trust, images, 1, same) == [2]
    assert possible(images).tolist() == [False, True, True, True]


def test_means_of_pictures_of_8_bits_have_more() -> None:
    bytes_ = torch.randint(0, 256, (2, 3, 8, 8), generator=torch.Generator().manual_seed(0)).double() / 255
    mixed = (0.3 * bytes_[0] + 0.7 * bytes_[1])[None]
    assert of_bytes(torch.cat([bytes_ + 1e-5, mixed])).tolist() == [True, True, False]
    assert not same_pictures(bytes_)[0, 1]
