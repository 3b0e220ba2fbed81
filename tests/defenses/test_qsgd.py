"""QSGD: unbiased levels of a bucket's norm, the bound on its variance, and Elias' code."""

from __future__ import annotations

import math

import pytest
import torch
from drawn_updates import context, seeded, updates, values
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench.defenses import Stack
from invbench.defenses._elias import elias_bits
from invbench.defenses.gaussian import Gaussian
from invbench.defenses.qsgd import QSGD
from invbench.observation import Update

DRAWN = (torch.randn(30, 40, generator=seeded(1)), torch.randn(77, generator=seeded(2)))


def elias(number: int) -> str:
    """The code as it is written down in the paper."""
    word = "0"
    while number > 1:
        digits = f"{number:b}"
        word, number = digits + word, len(digits) - 1
    return word


def test_elias_code_is_as_long_as_its_words() -> None:
    numbers = [*range(1, 300), 2**15, 2**15 + 1, 10**9]
    assert elias_bits(torch.tensor(numbers)).tolist() == [len(elias(number)) for number in numbers]


@given(update=updates(), levels=st.integers(1, 40), bucket=st.integers(1, 20))
@settings(deadline=None, max_examples=20)
def test_values_are_levels_of_their_bucket_next_to_what_they_were(update: Update, levels: int, bucket: int) -> None:
    for before, after in zip(update, QSGD(levels=levels, bucket=bucket).update(update, context(3)), strict=True):
        old, new = before.double().reshape(-1).split(bucket), after.double().reshape(-1).split(bucket)
        for one, two in zip(old, new, strict=True):
            step = float(one.norm()) / levels
            assert ((two - one).abs() <= step * (1 + 1e-6) + 1e-30).all()
            if step:
                assert (two / step - (two / step).round()).abs().max() < 1e-2
            assert not two[one == 0].any()


@pytest.mark.parametrize(("levels", "bucket"), [(1, 64), (4, 64), (64, 512)])
def test_the_mean_is_the_update_and_the_variance_within_lemma_3_1(levels: int, bucket: int) -> None:
    draws, generator = 300, context(0)
    drawn = torch.stack([values(QSGD(levels=levels, bucket=bucket).update(DRAWN[:1], generator)) for _ in range(draws)])
    before = values(DRAWN[:1])
    steps = torch.cat([b.norm().expand(len(b)) for b in before.split(bucket)]) / levels
    assert ((drawn.mean(dim=0) - before).abs() < 6 * steps / 2 / math.sqrt(draws)).all()
    bound = min(bucket / levels**2, math.sqrt(bucket) / levels)
    assert drawn.var(dim=0).sum() < bound * before.square().sum() * 1.05


@pytest.mark.parametrize(("levels", "bucket"), [(1, 64), (4, 64), (16, 512), (200, 512)])
def test_what_attackers_expect_is_as_far_off_as_they_expect(levels: int, bucket: int) -> None:
    stack = Stack((QSGD(levels=levels, bucket=bucket),))
    seen = stack.at("update", DRAWN, context(0))
    expected, variance = stack.expected(DRAWN, tuple(torch.zeros_like(t) for t in DRAWN), seen)
    misfit = ((values(seen) - values(expected)).square() / values(variance)).mean()
    assert 0.7 < misfit < 1.3


@pytest.mark.parametrize("levels", [1, 4, 100])
def test_a_message_is_as_long_as_the_shorter_of_both_codes(levels: int) -> None:
    stack, bucket = Stack((QSGD(levels=levels, bucket=64),)), 64
    seen = stack.at("update", DRAWN, context(0))
    norms = dense = sparse = 0
    for before, after in zip(DRAWN, seen, strict=True):
        pairs = zip(before.double().reshape(-1).split(bucket), after.double().reshape(-1).split(bucket), strict=True)
        for one, two in pairs:
            norms += 4
            level = [round(float(v) * levels / float(one.norm())) for v in two.abs()]
            dense += sum(1 + len(elias(k + 1)) for k in level)
            last = -1
            for place, k in enumerate(level):
                if k:
                    sparse += len(elias(place - last)) + 1 + len(elias(k))
                    last = place
    assert stack.message_bytes(seen) == norms + (min(dense, sparse) + 7) // 8


def test_few_levels_are_sent_in_few_bytes_and_noise_behind_them_in_all() -> None:
    coarse, noisy = Stack((QSGD(levels=1),)), Stack((QSGD(levels=1), Gaussian(std=0.1)))
    whole = 4 * values(DRAWN).numel()
    assert coarse.message_bytes(coarse.at("update", DRAWN, context(0))) < whole / 20
    assert noisy.message_bytes(noisy.at("update", DRAWN, context(0))) == whole
