"""Prior matching: as often right as the paper's geometry says, and never more often than the bound allows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from made_informed import informed_cell

from invbench.attacks.prior_match import PriorMatch, agreement
from invbench.games import game_of
from invbench.privacy import Steps
from invbench.privacy.reconstruction import reconstruction_bound

TRIALS, STEPS, CANDIDATES = 2000, 100, 8


@pytest.mark.parametrize(("noise", "wanted"), [(27.0, 0.203), (9.5, 0.403), (5.0, 0.711)])
def test_orthogonal_gradients_are_matched_as_often_as_geometry_says_and_never_above_the_bound(
    noise: float, wanted: float
) -> None:
    """Of K orthogonal gradients of the clip's length: P = E Phi(x + sqrt(T) / s)^(K - 1), x standard normal."""
    drawn = torch.Generator().manual_seed(round(10 * noise))
    gradients = 3.0 * torch.eye(CANDIDATES)  # longer than the clip
    secret = torch.randint(CANDIDATES, (TRIALS,), generator=drawn)
    clean = torch.eye(CANDIDATES)[secret][:, None]
    noisy = clean + noise * torch.randn(TRIALS, STEPS, CANDIDATES, generator=drawn)
    scores = agreement(gradients, noisy, clip=1.0).sum(dim=1)
    share = float((scores.argmax(dim=1) == secret).double().mean())
    error = math.sqrt(wanted * (1 - wanted) / TRIALS)
    assert abs(share - wanted) < 4 * error + 1e-3
    bound = reconstruction_bound(1 / CANDIDATES, Steps(noise, 1.0, STEPS)).value
    assert share < bound + 2 * error


def test_without_noise_every_secret_is_named(tmp_path: Path) -> None:
    cell = informed_cell(tmp_path, "none", steps=2)
    deal = game_of(cell).deal(cell, torch.device("cpu"))
    assert deal.score(PriorMatch().attack_all(deal.observations)) == {"matched": [[1.0], [1.0], [1.0]]}


@pytest.mark.parametrize("batch", ["null", "4"])
def test_what_is_left_of_a_step_is_the_secret_s_clipped_gradient_where_it_took_part(tmp_path: Path, batch: str) -> None:
    """With hardly any noise the replay subtracts the others exactly in every step, of whole and of Poisson batches."""
    cell = informed_cell(tmp_path, f"{{name: dp-sgd, clip: 0.01, noise: 1.0e-4, batch: {batch}}}", steps=12, lr=0.1)
    deal = game_of(cell).deal(cell, torch.device("cpu"))
    answers = PriorMatch().attack_all(deal.observations)
    for answer, of in zip(answers, deal.decks, strict=True):
        own = float(answer.scores[of.secret]) / 0.01**2  # how many steps it took part in: clipped, |g|^2 = clip^2
        assert own == pytest.approx(round(own), abs=0.02)
        assert round(own) == 12 if batch == "null" else 0 < own < 12
        assert float(answer.scores.max()) == pytest.approx(float(answer.scores[of.secret]))


def test_noise_hides_the_secret_among_others(tmp_path: Path) -> None:
    cell = informed_cell(tmp_path, "{name: dp-sgd, noise: 1000}", targets=16, steps=1)
    deal = game_of(cell).deal(cell, torch.device("cpu"))
    matched = deal.score(PriorMatch().attack_all(deal.observations))["matched"]
    assert np.mean(matched) < 0.5
