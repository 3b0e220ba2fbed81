"""Attack `dlg`: picture and label out of a gradient alone, a control it must not beat, settings as published."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from made_updates import digits, noise_like, observe, public, victim

from invbench import registry
from invbench.attacks.dlg import Dlg
from invbench.metrics import best_grey, psnr
from invbench.observation import UpdateObservation

SHORT = Dlg(patience=50)  # so that a start which is as good as float32 lets it be soon rests


def observed(**settings: Any) -> list[UpdateObservation]:
    images, labels = digits(3)
    network = victim(images)
    batches = zip(images.split(1), labels.split(1), strict=True)
    return [observe(network, image, label, seed=k, **settings) for k, (image, label) in enumerate(batches)]


def test_pictures_and_labels_are_recovered_from_the_gradient_alone() -> None:
    images, labels = digits(3)
    seen = observed(hidden=True)
    for k, guess in enumerate(SHORT.attack_all(seen)):
        decibels = psnr(guess.images, images[k : k + 1])[0]
        assert decibels > 45
        assert decibels > psnr(best_grey(images[k : k + 1]), images[k : k + 1])[0] + 30
        assert guess.labels is not None
        assert guess.labels.tolist() == [labels[k]]
        assert guess.objective is not None
        assert guess.objective <= 1e-8 * sum(float(t.square().sum()) for t in seen[k].update)  # it knows that it did
        assert not guess.diverged


def test_a_start_that_succeeds_goes_on_until_it_rests_and_a_looser_stop_is_a_setting() -> None:
    """The authors' code has no stop: what is left below the loss at which no other start is needed is decibels."""
    images, labels = digits(1)
    network = victim(images)
    [whole], [stopped] = (
        attack.attack_all([observe(network, images, labels, hidden=True)])
        for attack in (SHORT, replace(SHORT, finish=False))
    )
    assert whole.objective is not None
    assert stopped.objective is not None
    assert whole.objective < 1e-2 * stopped.objective
    assert psnr(whole.images, images)[0] > psnr(stopped.images, images)[0] + 5
    assert stopped.evaluations < whole.evaluations <= stopped.evaluations + 4 * SHORT.patience
    assert whole.stopped == stopped.stopped  # the start that was good enough has converged, however it ended
    assert not whole.diverged


def test_a_batch_of_two_is_recovered_in_some_order() -> None:
    images, labels = digits(2)
    [guess] = Dlg(restarts=3, iterations=200).attack_all([observe(victim(images), images, labels, hidden=True)])
    straight, crossed = psnr(guess.images, images).mean(), psnr(guess.images.flip(0), images).mean()
    assert max(straight, crossed) > 45


def test_it_reads_nothing_from_noise_of_the_same_size() -> None:
    images, _ = digits(3)
    for k, guess in enumerate(Dlg(restarts=1, iterations=40).attack_all(observed(defend=noise_like))):
        assert psnr(guess.images, images[k : k + 1])[0] < psnr(best_grey(images[k : k + 1]), images[k : k + 1])[0]


@pytest.mark.parametrize("labels", ["joint", "idlg"])
def test_given_labels_are_never_read(labels: str) -> None:
    attack = registry.load("attack", "dlg").build({"iterations": 5, "restarts": 2, "labels": labels})
    [known], [hidden] = attack.attack_all(observed()[:1]), attack.attack_all(observed(hidden=True)[:1])
    assert torch.equal(known.images, hidden.images)
    assert torch.equal(known.labels, hidden.labels)
    assert known.objective == hidden.objective


def test_without_a_fresh_start_a_start_that_fails_stays_failed() -> None:
    images, labels = digits(1)
    network = victim(images)
    [once], [again] = (
        attack.attack_all([observe(network, images, labels, seed=0, hidden=True)])  # its first start ends far away
        for attack in (Dlg(restarts=1, iterations=120), Dlg(iterations=120))
    )
    assert psnr(once.images, images)[0] < 15
    assert psnr(again.images, images)[0] > 45
    assert again.evaluations > once.evaluations


def test_the_settings_are_the_papers_and_its_codes() -> None:
    assert Dlg().optimizer == "lbfgs"
    assert (Dlg().lr, Dlg().memory, Dlg().iterations) == (1.0, 100, 300 * 20)
    assert Dlg().finish
    assert (Dlg().objective, Dlg().labels, Dlg().tv, Dlg().boxed, Dlg().restarts) == ("l2", "joint", 0.0, False, 8)


def test_it_attacks_hidden_batches_and_refuses_to_be_given_labels() -> None:
    hidden = public(victim(digits(1)[0]), (1, 8, 8), batch=8, labels="hidden")
    assert Dlg().unsupported(hidden) is None
    assert Dlg(labels="idlg").unsupported(hidden) == "idlg needs batch_size 1, not 8"
    with pytest.raises(registry.BadSettings, match="labels must be joint or idlg, not 'known'"):
        registry.load("attack", "dlg").build({"labels": "known"})
