"""Learning to invert batches: the order of pictures does not count, labels that are known lead, signs are enough."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from defended_updates import defended, seeded, undeclared
from made_updates import digits, noise_like, normalised, victim
from torch import Tensor

from invbench.attacks.learned_inverse import LearnedInverse
from invbench.inversion.own_updates import HELD_OUT, drawn_batches, own_updates, too_few
from invbench.inversion.reader import Reader
from invbench.inversion.unordered import in_the_best_order
from invbench.metrics import assign
from invbench.models.linear import Linear
from invbench.observation import Labelled, UpdateObservation
from invbench.updates.simulation import simulate

OWN, TARGETS, SIZE = 120, 4, 2
ATTACK = LearnedInverse(hidden=48, epochs=30, rate=4e-3, batches=3)


def seen(*declared: str, known: bool = True) -> list[UpdateObservation]:
    """Batches of the first digits on a linear model; the attacker has the digits after them."""
    images, labels = digits(TARGETS * SIZE + OWN)
    shown = defended(
        victim(images, model=Linear()),
        images[: TARGETS * SIZE],
        labels[: TARGETS * SIZE],
        [(name, {}) for name in declared],
        batch=SIZE,
    )
    reference = Labelled(normalised(images[TARGETS * SIZE :]), labels[TARGETS * SIZE :])
    return [
        replace(one, public=replace(one.public, reference=reference), labels=one.labels if known else None)
        for one in shown
    ]


def error(observations: list[UpdateObservation]) -> float:
    """Mean squared error of the answers, each batch in the order that fits best."""
    answers = [guess.images for guess in ATTACK.attack_all(observations)]
    originals = digits(TARGETS * SIZE + OWN)[0][: TARGETS * SIZE].split(SIZE)
    return float(np.mean([_apart(*pair) for pair in zip(answers, originals, strict=True)]))


def _apart(answer: Tensor, original: Tensor) -> float:
    found = answer.double()[torch.from_numpy(assign(answer.double().numpy(), original.double().numpy()))]
    return float((found - original).square().mean())


@cache
def of_the_mean() -> float:
    images = digits(TARGETS * SIZE + OWN)[0]
    return float((images[: TARGETS * SIZE] - images[TARGETS * SIZE :].mean(dim=0)).square().mean())


@pytest.mark.parametrize("known", [True, False])
def test_it_reads_batches_behind_signs_better_than_the_mean_picture(known: bool) -> None:
    assert error(seen("sign", known=known)) < 0.6 * of_the_mean()


def test_who_does_not_know_of_the_signs_is_lost() -> None:
    assert error(undeclared(seen("sign"))) > 0.8 * of_the_mean()


def test_from_noise_it_reads_no_more_than_labels_tell() -> None:
    noise = [replace(one, update=noise_like(one.update)) for one in seen(known=False)]
    assert error(noise) > 0.8 * of_the_mean()


@pytest.mark.parametrize("clients", [1, 2])
def test_an_own_update_is_what_clients_with_those_pictures_would_send(clients: int) -> None:
    one = seen()[0]
    own, batches = one.public.reference, torch.tensor([[3, 7], [5, 1]])
    assert own is not None
    public = replace(one.public, batch_size=SIZE // clients, clients=clients, protocol_settings={"clients": clients})
    made = list(own_updates(replace(one, public=public), own, batches))
    for batch, update in zip(batches, made, strict=True):
        sent = simulate(public, one.model, own.images[batch], own.labels[batch])
        torch.testing.assert_close(update, tuple(tensor.detach() for tensor in sent), atol=1e-6, rtol=1e-5)


def test_answers_stand_in_the_order_of_the_labels_that_are_known() -> None:
    [one] = seen()[:1]
    assert one.labels is not None
    turned = replace(one, labels=one.labels.flip(0), generator=seeded(0))
    quick = replace(ATTACK, epochs=1)
    first, second = quick.attack_all([one, turned])
    assert torch.equal(first.images, second.images.flip(0))
    assert second.labels is not None
    assert torch.equal(second.labels, one.labels.flip(0))


@pytest.mark.parametrize(("known", "mean"), [(True, "mean picture of each label"), (False, "mean picture")])
def test_what_learned_nothing_says_what_it_answers(known: bool, mean: str) -> None:
    [guess] = replace(ATTACK, rate=1e-12, epochs=1).attack_all(seen(known=known)[:1])
    assert guess.notes == (f"it learned nothing: the answer is the {mean}",)


def test_a_batch_is_held_against_pictures_in_the_order_that_fits_best() -> None:
    answers = torch.rand(3, 4, 5, generator=seeded(0))
    shuffled = answers[:, [2, 0, 3, 1]]
    assert torch.equal(in_the_best_order(shuffled, answers), answers)
    labels = torch.tensor([[0, 0, 1, 1]]).expand(3, 4)
    within = in_the_best_order(answers[:, [1, 0, 3, 2]], answers, labels)
    assert torch.equal(within, answers)
    across = in_the_best_order(answers[:, [2, 3, 0, 1]], answers, labels)  # none changes its label, whatever fits
    assert all(torch.equal(across[:, pair].sort(dim=1)[0], answers[:, [2, 3, 0, 1]][:, pair].sort(dim=1)[0])
               for pair in ([0, 1], [2, 3]))  # fmt: skip


def test_what_is_held_out_is_in_no_batch_that_is_trained_on() -> None:
    batches, apart = drawn_batches(45, 4, 3)
    assert batches.shape[1] == 4
    assert all(len(set(batch.tolist())) == 4 for batch in batches)
    assert set(batches[apart].flatten().tolist()) <= {9, 19, 29, 39}
    assert not set(batches[~apart].flatten().tolist()) & {9, 19, 29, 39}
    assert int((~apart).sum()) == 3 * 4 * (41 // 4)
    alone, apart = drawn_batches(20, 1, 3)
    assert alone.flatten().tolist() == list(range(20))
    assert apart.nonzero().flatten().tolist() == [9, 19]


def test_it_starts_at_the_mean_picture_of_each_label() -> None:
    pictures, labels = torch.rand(30, 6, generator=seeded(1)), torch.arange(30) % 3
    reader = Reader(5, 4, 2, pictures, (labels, 4))
    answers = reader(torch.zeros(1, 5), torch.tensor([[1, 3]]))
    torch.testing.assert_close(answers[0, 0], pictures[labels == 1].mean(dim=0))
    torch.testing.assert_close(answers[0, 1], pictures.mean(dim=0))  # no picture has that label


def test_it_asks_for_a_batch_of_pictures_to_hold_out() -> None:
    public = replace(seen()[0].public, batch_size=5)
    few = replace(public, reference=Labelled(torch.zeros(49, 1, 8, 8), torch.zeros(49, dtype=torch.int64)))
    assert too_few(few) == f"needs at least {5 * HELD_OUT} pictures of the attacker's own, to learn from, not 49"
    assert ATTACK.unsupported(public) is None
