"""Attack `order-invariant`: epochs in orders that the client draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from defended_updates import defended, seeded
from made_updates import digits, normalised, public, victim

from invbench.attacks.order_invariant import OrderInvariant
from invbench.matching.epochs import apart, largest_filtered, of_mean, together
from invbench.metrics import assign, best_grey, psnr
from invbench.observation import UpdateObservation

BATCH, EPOCHS = 4, 3
IMAGES, LABELS = digits(BATCH)
NETWORK = victim(IMAGES)
ATTACK = OrderInvariant(iterations=38, lr=0.2, tv=1e-3, outside=1.0, order=0.1, invariant="mean")
SHUFFLED: dict[str, Any] = {
    "protocol": "fedavg", "epochs": EPOCHS, "local_batch_size": 2, "order": "shuffled", "lr": 0.05,
}  # fmt: skip


def observed(**settings: Any) -> UpdateObservation:
    [seen] = defended(NETWORK, IMAGES, LABELS, (), batch=BATCH, **{**SHUFFLED, **settings})
    return seen


@pytest.mark.parametrize("invariant", [of_mean, largest_filtered(1)])
def test_the_prior_is_zero_for_one_set_in_any_order_and_for_no_other(invariant: Any) -> None:
    pictures = normalised(IMAGES)
    orders = [torch.randperm(BATCH, generator=seeded(k)) for k in range(EPOCHS)]
    same = torch.stack([pictures[order] for order in orders])
    assert float(apart(same, invariant)) < 1e-10
    other = same.clone()
    other[1, 0] += 0.5
    assert float(apart(other, invariant)) > 1e-3
    pixels = same.clone()  # of one picture, not the pictures
    pixels[1, 0] = pixels[1, 0].flatten()[torch.randperm(64, generator=seeded(5))].reshape(1, 8, 8)
    assert float(apart(pixels, invariant)) > 1e-3


def test_it_is_the_mean_over_all_pairs_of_epochs() -> None:
    pictures = torch.randn(3, 2, 1, 4, 4, generator=seeded(0))
    means = pictures.mean(dim=1)
    pairs = [(a - b).square().mean() for a in means for b in means]
    assert float(apart(pictures, of_mean)) == pytest.approx(float(sum(pairs)) / 9)


def test_copies_are_brought_into_one_order_by_their_likeness() -> None:
    copies = []
    for k in range(8):
        order = torch.arange(BATCH) if k == 0 else torch.randperm(BATCH, generator=seeded(k))
        noise = 0.2 * torch.randn(IMAGES.shape, generator=seeded(k))
        copies.append((IMAGES + noise)[order].clamp(0, 1))
    assert float(psnr(together(torch.stack(copies)), IMAGES).min()) > float(psnr(copies[0], IMAGES).max()) + 2


def decibels(attack: OrderInvariant, seen: UpdateObservation) -> float:
    [guess] = attack.attack_all([replace(seen, generator=seeded(1))])
    return float(psnr(guess.images[assign(guess.images, IMAGES)], IMAGES).mean())


def test_it_reads_shuffled_epochs_and_its_prior_is_worth_its_decibels() -> None:
    seen = observed()
    read = decibels(ATTACK, seen)
    assert read > decibels(replace(ATTACK, order=0.0), seen) + 0.3  # 16.8 dB, and 16.1 without
    assert read > float(psnr(best_grey(IMAGES), IMAGES).mean()) + 3


def test_what_has_no_hidden_order_is_unsupported_and_says_what_serves() -> None:
    def why(**settings: Any) -> str:
        known = public(NETWORK, (1, 8, 8), batch=BATCH, **{**SHUFFLED, **settings})
        return ATTACK.unsupported(known) or ""

    assert why() == ""
    needs = "needs several whole epochs of several local batches in an order that the client draws"
    for settings in ({"order": "fixed"}, {"epochs": 1}, {"local_batch_size": None}, {"epochs": None, "steps": 5}):
        assert why(**settings).startswith(needs)
    assert why(epochs=None, steps=4) == ""
    assert "inverting-gradients" in why(order="fixed")
    assert why(clients=2).startswith("simulates the epochs of one client")
    assert "`scale: fitted`" in why(loss="hidden")
