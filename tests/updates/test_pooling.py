"""One batch in several rounds at the same weights: what a client draws averages out, and the rest is told rightly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from defended_updates import AWARE, in_rounds, read
from made_updates import digits, normalised, victim

from invbench.attacks.analytic import Analytic
from invbench.attacks.peel import Peel
from invbench.metrics import psnr
from invbench.models.mlp import MLP
from invbench.observation import Update, UpdateObservation
from invbench.updates.likelihood import misfit, noise, simulated
from invbench.updates.pooling import pooled, stack_behind
from invbench.updates.simulation import simulate

IMAGES, LABELS = digits(1)
NETWORK = victim(IMAGES)
NOISE: tuple[str, dict[str, Any]] = ("gaussian", {"std": 0.01})
SIGN: tuple[str, dict[str, Any]] = ("sign", {})


def seen_in(rounds: int, *declared: tuple[str, dict[str, Any]]) -> UpdateObservation:
    return in_rounds(rounds, NETWORK, IMAGES, LABELS, declared)[0]


def truth(seen: UpdateObservation) -> Update:
    return simulate(seen.public, NETWORK, normalised(IMAGES), LABELS)


def error(seen: UpdateObservation) -> float:
    """Root mean square of what an update is off the one that the client computed."""
    pairs = zip(seen.update, truth(seen), strict=True)
    return float(torch.cat([(a - b).flatten() for a, b in pairs]).square().mean().sqrt())


def misfit_of_truth(seen: UpdateObservation) -> float:
    return misfit(seen, simulated(seen, normalised(IMAGES), LABELS))


def test_sixteen_rounds_leave_a_quarter_of_the_noise_and_the_attacker_knows_it() -> None:
    seen = seen_in(16, NOISE)
    together = pooled(seen)
    assert error(seen) == pytest.approx(0.01, rel=0.05)
    assert error(together) == pytest.approx(0.0025, rel=0.05)
    assert misfit_of_truth(together) == pytest.approx(1, abs=0.05)
    variance, factor = noise(together)
    assert factor == 1
    assert float(variance[0].sqrt().mean()) == pytest.approx(0.0025, rel=1e-3)


def test_random_k_at_ten_per_cent_sends_nearly_everything_in_64_rounds() -> None:
    """Of n entries 0.9^64 n, about one in a thousand, are never sent; those that are have their own value."""
    seen = seen_in(64, ("random-k", {"fraction": 0.1, "rescale": True}))
    together = pooled(seen)
    variance, factor = noise(together)
    told = torch.cat([torch.isfinite(v).flatten() for v in variance])
    there = torch.cat([t.flatten() for t in truth(seen)])
    missed = ~told & (there != 0)
    assert factor == pytest.approx(10, rel=0.01)
    assert 0 < float(missed.double().mean()) < 0.003
    read_off = torch.cat([t.flatten() for t in together.update]) / factor
    assert torch.allclose(read_off[told], there[told], atol=1e-6)
    ends = stack_behind(together).interval(together.update)
    for low, high, value in zip(*ends, truth(seen), strict=True):
        assert bool(((low <= value + 1e-6) & (value <= high + 1e-6)).all())


@pytest.mark.parametrize(
    "declared",
    [
        [("qsgd", {"levels": 2})],
        [("quantize", {"bits": 2})],
        [("laplace", {"std": 0.01})],
        [("random-k", {"fraction": 0.5, "rescale": True}), NOISE],
        [("clip", {"norm": 0.5}), NOISE],
        [NOISE, ("quantize", {"bits": 6, "rounding": "nearest"})],
    ],
)
def test_what_is_drawn_anew_averages_out_as_it_is_told_to(declared: Any) -> None:
    """The misfit of the truth is at most about 1: no more is left than the pooled stack says."""
    seen = seen_in(8, *declared)
    once, together = misfit_of_truth(seen), pooled(seen)
    assert together.pooled
    assert misfit_of_truth(together) < max(1.1, once + 0.1)
    variances = [noise(one)[0] for one in (seen, together)]
    before, after = (float(torch.cat([v.flatten() for v in of]).mean()) for of in variances)
    assert before / 20 < after < before / 3  # of one round, hidden masks make noise pass for values


def test_how_often_a_sign_is_positive_tells_the_value_behind_noise() -> None:
    seen = seen_in(32, ("gaussian", {"std": 0.1}), SIGN)
    together = pooled(seen)
    assert error(together) < 0.04  # one round says -1 or 1
    assert misfit_of_truth(together) == pytest.approx(1, abs=0.15)
    low, high = stack_behind(together).interval(together.update)
    assert any(bool(torch.isinf(tensor).any()) for tensor in (*low, *high)), "entries all of whose signs agree"
    first, all_rounds = (read(AWARE, [one], IMAGES) for one in (replace(seen, rounds=()), together))
    assert all_rounds > first + 2


@pytest.mark.parametrize(
    "declared",
    [[], [SIGN], [("top-k", {"fraction": 0.1})], [("clip", {"norm": 0.1})], [("ats", {}), NOISE]],
)
def test_where_rounds_say_the_same_or_act_on_pictures_the_first_is_read_as_it_is(declared: Any) -> None:
    seen = seen_in(2, *declared)
    assert pooled(seen) is seen


def test_closed_forms_gain_without_knowing_of_rounds() -> None:
    network = victim(IMAGES, model=MLP(width=16))
    for attack in (Analytic(), Peel()):
        seen = in_rounds(9, network, IMAGES, LABELS, [("gaussian", {"std": 0.003})])[0]
        first, together = (float(psnr(attack(one).images, IMAGES)[0]) for one in (seen, pooled(seen)))
        assert together > first + 4


def test_a_search_gains_from_masks_that_are_drawn_anew() -> None:
    seen = seen_in(12, ("random-k", {"fraction": 0.05}))
    first, together = (read(AWARE, [one], IMAGES) for one in (replace(seen, rounds=()), pooled(seen)))
    assert together > first + 1
