"""Attack `deep-inversion`: one batch of all classes, with the statistics that BatchNorm remembers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from made_models import class_means, confidence, public, released, trained
from torch import nn

from invbench.attacks.deep_inversion import WITHOUT, DeepInversion
from invbench.inversion.statistics import statistics_of
from invbench.metrics import class_found
from invbench.models import ImageModel
from invbench.observation import Inversion


@dataclass(frozen=True, kw_only=True)
class Small(ImageModel):
    """Two convolutions with BatchNorm."""

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        first, second = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        layers = [first, nn.BatchNorm2d(6), nn.ReLU(), second, nn.BatchNorm2d(6), nn.ReLU()]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(384, classes))


NORMALISED = Small()
ATTACK = DeepInversion(iterations=40, rate=0.1)


def answers(**said: float) -> list[Inversion]:
    network = trained(NORMALISED, steps=40)
    return dataclasses.replace(ATTACK, **said).attack_all([released(network, k) for k in range(10)])  # type: ignore[arg-type]


def apart(given: list[Inversion]) -> float:
    """How far the answers are from what the network remembers, summed over its layers."""
    network, seen = trained(NORMALISED, steps=40), released(trained(NORMALISED, steps=40))
    mean, std = seen.channel_constants()
    pictures = torch.stack([one.image for one in given if one.image is not None])
    with torch.no_grad(), statistics_of(network) as told:
        network((pictures - mean) / std)
    return float(sum(told))


def test_softmax_regression_gives_its_digits_and_a_note_that_it_remembers_nothing() -> None:
    network = trained()
    found = DeepInversion(iterations=60).attack_all([released(network, k) for k in range(10)])
    pictures = np.stack([one.image.double().numpy() for one in found if one.image is not None])
    assert class_found(pictures, np.arange(10), class_means().double().numpy()).sum() >= 9
    assert all(one.notes == (WITHOUT,) for one in found)
    assert DeepInversion(iterations=1, statistics=0.0).attack_all([released(network)])[0].notes == ()


def test_the_statistics_come_nearer_to_what_the_network_remembers() -> None:
    with_, without = answers(), answers(statistics=0.0)
    assert apart(with_) < 0.8 * apart(without)
    assert with_[0].notes == ()
    for k, answer in enumerate(with_):
        said = float(answer.facts["confidence"])  # type: ignore[arg-type]
        assert abs(said - confidence(trained(NORMALISED, steps=40), answer.image, k)) < 1e-3


def test_total_variation_smooths_and_the_norm_greys() -> None:
    plain, smooth, grey = (
        [one.image for one in answers(statistics=0.0, **more)] for more in ({}, {"tv": 3.0}, {"l2": 3.0})
    )
    rough = [float(torch.stack(of).diff(dim=-1).abs().mean()) for of in (plain, smooth)]  # type: ignore[arg-type]
    assert rough[1] < 0.8 * rough[0]
    spread = [float(torch.stack(of).var()) for of in (plain, grey)]  # type: ignore[arg-type]
    assert spread[1] < 0.8 * spread[0]


def test_classes_that_are_the_attacker_s_own_take_no_part() -> None:
    network = trained(known=5)
    [few] = DeepInversion(iterations=20).attack_all([released(network, 2, known_classes=5)])
    [all_] = DeepInversion(iterations=20).attack_all([released(network, 2)])
    assert few.objective is not None
    assert all_.objective is not None
    assert few.objective < all_.objective


def test_without_weights_it_is_unsupported() -> None:
    why = DeepInversion().unsupported(public(trained(), protocol="black-box", queries=9))
    assert "query-inversion" in str(why)
    assert DeepInversion().unsupported(public(trained())) is None
