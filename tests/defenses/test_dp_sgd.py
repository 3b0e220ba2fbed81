"""DP-SGD: what the accountants say, the noise for an epsilon, what is refused and what the record says."""

from __future__ import annotations

from importlib.util import find_spec
from typing import get_args

import pytest
import torch
from torch import nn

from invbench.core.training import Training
from invbench.defenses import Context, _accountant, dp_sgd
from invbench.defenses._accountant import epsilon_of, least_noise
from invbench.defenses.dp_sgd import DpSgd
from invbench.defenses.early_stopping import EarlyStopping
from invbench.defenses.precode import Precode

opacus = pytest.mark.skipif(find_spec("opacus") is None, reason="needs the extra dp")
PLAIN = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
USUAL = Training(300, examples=320)


def context() -> Context:
    return Context(torch.Generator().manual_seed(0))


def without_opacus(patch: pytest.MonkeyPatch) -> None:
    for module in (_accountant, dp_sgd):
        patch.setattr(module, "installed", lambda: False)


@opacus
@pytest.mark.parametrize(
    ("noise", "rate", "steps", "epsilon"),
    [
        (1.1, 0.01, 1000, 1.7118),
        (1.1, 0.01, 10_000, 5.6320),
        (1.5, 0.04, 2250, 7.3291),
        (1.3, 150 / 60_000, 6000, 0.7242),
    ],
)
def test_epsilon_by_rdp(noise: float, rate: float, steps: int, epsilon: float) -> None:
    found, who = epsilon_of(noise, rate, steps, 1e-5, "rdp")
    assert (found, who) == (pytest.approx(epsilon, abs=1e-3), "rdp")


@opacus
@pytest.mark.parametrize(
    ("noise", "rate", "steps", "exact"),
    [
        (1.1, 0.01, 1000, 1.5154),
        (1.1, 0.01, 10_000, 5.1926),
        (1.5, 0.04, 2250, 6.7688),
        (1.3, 150 / 60_000, 6000, 0.6401),
    ],
)
def test_epsilon_by_prv_is_tighter_and_never_below_the_exact_one(
    noise: float, rate: float, steps: int, exact: float
) -> None:
    """Exact by the privacy loss distribution of dp-accounting 0.6.0, discretised at 1e-4."""
    found, _ = epsilon_of(noise, rate, steps, 1e-5, "prv")
    assert exact <= found <= exact + 0.03


@opacus
def test_prv_is_not_asked_where_nothing_is_private() -> None:
    assert epsilon_of(0.1, 0.1, 300, 1e-5, "prv")[1] == "rdp", "beyond 100 PRV is not asked"


@opacus
def test_prv_gives_way_to_rdp_where_delta_is_too_small_for_it() -> None:
    assert epsilon_of(1.0, 0.1, 3, 1e-15, "prv") == epsilon_of(1.0, 0.1, 3, 1e-15, "rdp")
    assert epsilon_of(50.0, 1e-12, 2**31, 1e-5, "prv")[1] == "rdp", "its grid would take 5 GB"


@opacus
def test_the_least_noise_for_an_epsilon_gives_no_more_and_a_little_less_noise_does() -> None:
    noise = least_noise(3.0, 0.01, 1000, 1e-5, "rdp")
    assert epsilon_of(noise, 0.01, 1000, 1e-5, "rdp")[0] <= 3.0 < epsilon_of(0.998 * noise, 0.01, 1000, 1e-5, "rdp")[0]
    with pytest.raises(ValueError, match=r"epsilon 0.01 is below 0.1\d+, what rdp says of any noise"):
        least_noise(0.01, 0.01, 1000, 1e-5, "rdp")


@opacus
def test_an_epsilon_asked_for_is_trained_with_its_noise_and_stands_in_the_record() -> None:
    asked = DpSgd(epsilon=3.0, clip=0.7, batch=4)
    training = Training(1000, examples=400, example="window of 8 tokens")
    assert asked.untrainable(PLAIN, training) is None
    made = asked.training(training, context())
    assert made.private is not None
    assert (made.private.clip, made.private.batch) == (0.7, 4)
    assert made.private.noise == least_noise(3.0, 0.01, 1000, 1e-5, "rdp")
    [note] = asked.training_notes(made)
    for words in (
        *("1000 steps", "q = 4/400 = 0.01", "clip 0.7", "epsilon 2.99", "delta 1e-05", "RDP accountant"),
        *("assumes Poisson sampling", "one window of 8 tokens"),
    ):
        assert words in note
    shorter = EarlyStopping(fraction=0.1).training(made, context())
    assert "100 steps" in asked.training_notes(shorter)[0]


def test_an_epsilon_that_no_noise_gives_is_refused() -> None:
    with pytest.raises(ValueError, match=r"epsilon 0.01 is out of reach at delta 1e-05: rdp says 0.103 or more"):
        DpSgd(epsilon=0.01)
    with pytest.raises(ValueError, match=r"prv says 0.01 or more"):
        DpSgd(epsilon=0.01, accountant="prv")
    assert DpSgd(epsilon=0.01, rounds=1).rounds == 1, "without sampling it is exact, and every epsilon has its noise"
    with pytest.raises(ValueError, match="out of reach"):
        DpSgd(epsilon=0.01, rounds=1, population=100)


@opacus
def test_what_is_out_of_reach_is_what_opacus_says_of_any_noise() -> None:
    for accountant in get_args(_accountant.Accountant):
        far = epsilon_of(1e6, 0.01, 10, 1e-5, accountant)[0]
        assert far == pytest.approx(_accountant.least_epsilon(1e-5, accountant), rel=2e-3)


def test_without_opacus_noise_trains_and_the_record_says_that_no_epsilon_was_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_opacus(monkeypatch)
    assert "pip install 'invbench[dp]'" in str(DpSgd(epsilon=3.0).untrainable(PLAIN, USUAL))
    given = DpSgd(noise=1.5)
    assert given.untrainable(PLAIN, USUAL) is None
    made = given.training(USUAL, context())
    assert made.private is not None
    assert (made.private.noise, made.private.batch) == (1.5, 32)
    assert "no epsilon was computed" in given.training_notes(made)[0]


def test_settings_that_say_nothing_or_too_much() -> None:
    made = DpSgd().training(USUAL, context())
    assert made.private is not None
    assert made.private.noise == 1.0
    silent = DpSgd(noise=0.0)
    assert "without noise no epsilon holds" in silent.training_notes(silent.training(USUAL, context()))[0]
    with pytest.raises(ValueError, match="give noise, or epsilon"):
        DpSgd(noise=1.0, epsilon=1.0)
    with pytest.raises(ValueError, match="how many examples"):
        DpSgd().training(Training(3), context())
    too_many = DpSgd(batch=321).untrainable(PLAIN, USUAL)
    assert too_many == "batches of 321 on average, but there are 320 training examples"


def test_layers_that_mix_a_batch_are_refused_by_name() -> None:
    mixing = nn.Sequential(nn.Conv2d(1, 32, 3), nn.BatchNorm2d(32))
    why = str(DpSgd().untrainable(mixing, USUAL))
    assert "its layer 1 (BatchNorm2d)" in why
    assert "`norm: group`" in why
    assert DpSgd().untrainable(nn.Sequential(nn.GroupNorm(2, 4), nn.InstanceNorm2d(4)), USUAL) is None


def test_a_loss_that_no_example_has_alone_is_refused() -> None:
    """PRECODE's divergence is added to a batch's loss; left out of the examples' it would have no effect."""
    draws, weighed = context(), Precode(size=2)
    why = str(DpSgd().untrainable(weighed.model(PLAIN, draws), USUAL))
    assert "say `beta: 0`" in why
    assert DpSgd().untrainable(Precode(size=2, beta=0.0).model(PLAIN, draws), USUAL) is None


@opacus
def test_a_delta_that_covers_publishing_an_example_is_told() -> None:
    def notes(delta: float) -> tuple[str, ...]:
        asked = DpSgd(noise=4.0, delta=delta)
        return asked.training_notes(asked.training(USUAL, context()))

    assert len(notes(1 / 320)) == 1
    assert "delta 0.5 is above 1/320" in notes(0.5)[1]
