"""Attack `gradinversion`: its parts as the paper has them, what BatchNorm's statistics are worth, and its controls."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from made_updates import noise_like, normalised, observe, photographs, public, victim
from torch import Tensor, nn

from invbench.attacks import gradinversion
from invbench.attacks.gradinversion import GradInversion
from invbench.matching.adam import Jitter
from invbench.matching.answers import take_better
from invbench.matching.objectives import OBJECTIVES
from invbench.matching.outcome import Outcome
from invbench.matching.problem import build_problem
from invbench.matching.recipe import Recipe
from invbench.metrics import best_grey, psnr
from invbench.observation import UpdateObservation
from invbench.protocol._batch_norm import statistics_of
from invbench.scoring.reconstruction import Truth, match

BATCH, COUNT = 4, 2
BRIEF = GradInversion(iterations=100, restarts=2, gradient=0.1)
"""In so few steps of so small a network the published weights leave the update no say: 12.4 dB where 0.1 has 18.4."""


def pictures(count: int) -> tuple[Tensor, Tensor]:
    """Photographs of 8 x 8 and their labels."""
    images, labels = photographs(count)
    return nn.functional.avg_pool2d(images, 2), labels


@cache
def network() -> nn.Module:
    """A small network whose BatchNorm has seen fifty photographs."""
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(),
        nn.Conv2d(12, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10),
    ).train()  # fmt: skip
    images, _ = pictures(60)
    with torch.no_grad():
        for _ in range(30):
            made(normalised(images[COUNT * BATCH :]))
    return made.eval()


def observed(grant: str, *, noise: bool = False) -> list[UpdateObservation]:
    """Of two batches of four, in evaluation mode."""
    images, labels = pictures(COUNT * BATCH)
    found = []
    for k, (some, given) in enumerate(zip(images.split(BATCH), labels.split(BATCH), strict=True)):
        defend = noise_like if noise else lambda update: update
        seen = observe(network(), some, given, seed=k, defend=defend, batch_statistics=grant)
        told = statistics_of(network(), normalised(some)) if grant == "given" else None
        found.append(replace(seen, statistics=told))
    return found


def decibels(attack: Recipe, seen: list[UpdateObservation]) -> Any:
    """Of the second batch."""
    images, labels = (tensor[BATCH:] for tensor in pictures(COUNT * BATCH))
    [guess] = attack.attack_all(seen[1:])
    truth = Truth(images.numpy(), labels.numpy(), np.arange(BATCH), np.arange(BATCH))
    return psnr(match(guess, truth, np.zeros((3, 8, 8), np.float32)).images, images.numpy())


# Settings


def test_the_settings_are_the_papers() -> None:
    attack = GradInversion()
    assert (attack.iterations, attack.restarts, attack.lr, attack.schedule) == (20_000, 8, 0.1, "warm-cosine")
    assert (attack.optimizer, attack.start, attack.boxed, attack.noise) == ("adam", "normal", False, 0.2)
    assert (attack.objective, attack.gradient, attack.statistics) == ("layer-norms", 1e-3, 0.1)
    assert (attack.tv, attack.l2, attack.group, attack.registration) == (1e-4, 1e-6, 0.01, "shifts")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"optimizer": "lbfgs"}, "optimizer: lbfgs: its noise and its consistency are steps of adam"),
        ({"restarts": 1}, "restarts: one alone agrees with nobody; `group: 0` goes without"),
        ({"lanes": 7}, "lanes: 7: its 8 restarts run together; `group: 0` goes without"),
        ({"labels": "joint"}, "labels: joint: restarts that seek labels of their own agree on no order"),
        ({"restarts": 1, "group": 0.0}, None),
        ({"lanes": 1, "group": 0.0}, None),
        ({"labels": "joint", "group": 0.0}, None),
    ],
)
def test_what_it_cannot_do_is_told_beforehand(changed: dict[str, Any], reason: str | None) -> None:
    why = GradInversion(**changed).unsupported(public(network(), (3, 8, 8), batch=BATCH))
    assert (why or "").startswith(reason or "")
    assert (why is None) == (reason is None)


def test_a_network_without_batch_norm_is_unsupported_unless_asked_to_go_without() -> None:
    known = public(victim(pictures(1)[0]), (3, 8, 8), batch=BATCH)
    assert GradInversion().unsupported(known) == "statistics: victim has no BatchNorm; `statistics: 0` goes without"
    assert GradInversion(statistics=0.0).unsupported(known) is None


# Its parts


def test_restarts_end_near_what_they_agree_on_if_nothing_else_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the spread that they keep without consistency."""
    drawn, free = (spread(monkeypatch, group=group, registration="lazy") for group in (1e3, 0.0))
    assert drawn < 0.3 * free


def spread(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> float:
    """How far apart the restarts of the first target end, root mean square."""
    ends: list[Tensor] = []

    def take(best: Any, targets: Tensor, ran: Outcome) -> Any:
        ends.append(ran.variables)
        return take_better(best, targets, ran)

    monkeypatch.setattr(gradinversion, "take_better", take)
    replace(BRIEF, noise=0.0, iterations=30, lr=0.3, **changed).attack_all(observed("given")[:1])
    [one] = ends
    return float((one[0] - one[1]).square().mean().sqrt())


def test_noise_is_that_many_rates_after_each_step_and_of_each_restart_its_own() -> None:
    def jitter_of() -> Jitter:
        [seen, _] = observed("given")
        problem = build_problem([seen] * 2, [None] * 2, OBJECTIVES["l2"], 0.0, boxed=True)
        made = GradInversion(noise=0.2, restarts=2)._jitter(seen, problem)
        assert made is not None
        return made

    jitter, pixels = jitter_of(), BATCH * 192
    first, alone = jitter(1, torch.tensor([0, 1])), jitter(2, torch.tensor([1]))
    assert first[:, :pixels].std(dim=1).tolist() == pytest.approx([0.2, 0.2], rel=0.05)
    assert not first[:, pixels:].any(), "labels that are sought are no pixels"
    assert not torch.equal(first[0], first[1])
    again = jitter_of()
    again(1, torch.tensor([1]))
    assert torch.equal(again(2, torch.tensor([1])), alone), "it does not depend on who runs beside it"


def test_an_answer_does_not_depend_on_the_other_observations() -> None:
    together = replace(BRIEF, iterations=6).attack_all(observed("given"))
    [alone] = replace(BRIEF, iterations=6).attack_all(observed("given")[1:])
    torch.testing.assert_close(together[1].images, alone.images, rtol=0, atol=1e-3)
    assert together[1].evaluations == alone.evaluations == 14
    assert not torch.allclose(together[0].images, together[1].images, atol=1e-3)


# What it reads


def test_the_batch_s_own_statistics_are_worth_their_decibels_and_noise_tells_nothing() -> None:
    """20.0 dB, 18.1 without them; the control sees noise and running statistics."""
    images, _ = pictures(COUNT * BATCH)
    read = decibels(BRIEF, observed("given"))
    assert read.mean() > decibels(replace(BRIEF, statistics=0.0), observed("given")).mean() + 1
    assert (read > psnr(best_grey(images[BATCH:]), images[BATCH:])).all()
    assert decibels(replace(BRIEF, iterations=30), observed("before", noise=True)).mean() < read.mean() - 5
