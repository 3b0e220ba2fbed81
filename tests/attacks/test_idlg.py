"""Attack `idlg`: the exact label, then the picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from made_updates import digits, noise_like, observe, public, victim

from invbench import registry
from invbench.attacks.idlg import Idlg
from invbench.metrics import best_grey, psnr
from invbench.observation import UpdateObservation


def observed(count: int = 4, **settings: Any) -> list[UpdateObservation]:
    images, labels = digits(count)
    network = victim(images)
    batches = zip(images.split(1), labels.split(1), strict=True)
    return [observe(network, image, label, seed=k, **settings) for k, (image, label) in enumerate(batches)]


def test_pictures_are_recovered_and_labels_are_exact() -> None:
    images, labels = digits(2)
    for k, guess in enumerate(Idlg().attack_all(observed(2, hidden=True))):
        decibels = psnr(guess.images, images[k : k + 1])[0]
        assert decibels > 45
        assert decibels > psnr(best_grey(images[k : k + 1]), images[k : k + 1])[0] + 30
        assert guess.labels is not None
        assert guess.labels.tolist() == [labels[k]]


def test_labels_are_exact_long_before_the_picture_is() -> None:
    _, labels = digits(30)
    guesses = Idlg(iterations=1, restarts=1, lanes=30).attack_all(observed(30, hidden=True))
    assert torch.cat([guess.labels for guess in guesses if guess.labels is not None]).tolist() == labels.tolist()


def test_it_reads_nothing_from_noise_of_the_same_size() -> None:
    images, _ = digits(4)
    for k, guess in enumerate(Idlg(restarts=1, iterations=40).attack_all(observed(defend=noise_like))):
        assert psnr(guess.images, images[k : k + 1])[0] < psnr(best_grey(images[k : k + 1]), images[k : k + 1])[0]


@pytest.mark.parametrize("labels", ["idlg", "joint"])
def test_given_labels_are_never_read(labels: str) -> None:
    attack = registry.load("attack", "idlg").build({"iterations": 5, "restarts": 2, "labels": labels})
    wrong = [replace(seen, labels=(seen.labels + 1) % 10) for seen in observed(1) if seen.labels is not None]
    [misled], [hidden] = attack.attack_all(wrong), attack.attack_all(observed(1, hidden=True))
    assert torch.equal(misled.images, hidden.images)
    assert torch.equal(misled.labels, hidden.labels)
    assert misled.objective == hidden.objective


def test_the_settings_are_those_of_dlg_but_for_the_labels_and_the_stop() -> None:
    dlg, idlg = (registry.load("attack", name) for name in ("dlg", "idlg"))
    assert idlg.settings({}) == {**dlg.settings({}), "labels": "idlg", "finish": False}


def test_it_needs_a_batch_of_one() -> None:
    network = victim(digits(1)[0])
    assert Idlg().unsupported(public(network, (1, 8, 8), labels="hidden")) is None
    for labels in ("known", "hidden"):
        reason = Idlg().unsupported(public(network, (1, 8, 8), batch=2, labels=labels))
        assert reason == "idlg needs batch_size 1, not 2"
