"""Attack `tag`: its objective by hand, weights that fall with the depth, a control that it must beat."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from made_updates import digits, noise_like, observe, public, victim
from torch import Tensor, nn

from invbench.attacks.tag import Tag, squares_and_lengths
from invbench.matching.depth import depths
from invbench.matching.objectives import OBJECTIVES
from invbench.metrics import best_grey, psnr


def two_layers() -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    seen = (torch.tensor([[1.0, -2.0]]), torch.tensor([0.5]), torch.tensor([3.0]))
    return tuple(tensor + torch.tensor(1 / 4) for tensor in seen), seen


def test_the_objective_is_squares_and_weighted_lengths_tensor_by_tensor() -> None:
    simulated, seen = two_layers()
    assert float(squares_and_lengths([0.1, 0.1, 0.05], simulated, seen)) == pytest.approx(
        4 / 16 + 0.1 * 2 / 4 + 0.1 / 4 + 0.05 / 4
    )
    assert float(squares_and_lengths([0.0] * 3, simulated, seen)) == float(OBJECTIVES["l2"](simulated, seen))
    twice = float(squares_and_lengths([0.1, 0.1, 0.05], simulated * 2, seen * 2))
    assert twice == pytest.approx(2 * float(squares_and_lengths([0.1, 0.1, 0.05], simulated, seen)))


def test_the_weight_falls_from_the_input_to_the_last_layer() -> None:
    images, labels = digits(1)
    seen = observe(victim(images), images, labels)
    falling = Tag()._objective(seen).args[0]  # type: ignore[attr-defined]  # a partial
    names = [name for name, _ in seen.model.named_parameters()]
    assert falling[:2] == [0.1, 0.1], "weight and bias of the first layer"
    assert falling[-1] == pytest.approx(0.1 / (len(names) / 2))
    assert sorted(falling, reverse=True) == falling
    assert set(replace(Tag(), by_depth="flat")._objective(seen).args[0]) == {0.1}  # type: ignore[attr-defined]


def test_depth_is_the_order_of_use_and_not_of_definition() -> None:
    class Crossed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(4, 10)
            self.first = nn.Linear(64, 4)
            self.unused = nn.Linear(1, 1)

        def forward(self, images: Tensor) -> Tensor:
            scores: Tensor = self.last(self.first(images.flatten(1)))
            return scores

    found = depths(public(Crossed(), (1, 8, 8)))
    assert found == pytest.approx([1 / 3, 1 / 3, 0, 0, 2 / 3, 2 / 3])


def test_it_reads_a_picture_and_noise_tells_it_nothing() -> None:
    images, labels = digits(1)
    network, attack = victim(images), Tag(iterations=400)
    [read] = attack.attack_all([observe(network, images, labels)])
    [misled] = attack.attack_all([observe(network, images, labels, defend=noise_like)])
    decibels, control = (psnr(one.images, images)[0] for one in (read, misled))
    assert decibels > psnr(best_grey(images), images)[0] + 5
    assert decibels > control + 5
