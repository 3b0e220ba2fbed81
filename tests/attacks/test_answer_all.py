"""One call for both kinds of attack: one observation at a time, or all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from made_updates import digits, observe, victim

from invbench.attacks import UpdateAttack
from invbench.core.progress import Progress, listening
from invbench.observation import Failed, Guess, UpdateObservation


class FailsOnThrees(UpdateAttack):
    """Answers with the label as a grey picture, but for threes."""

    def __call__(self, seen: UpdateObservation) -> Guess:
        assert seen.labels is not None
        if seen.labels.item() == 3:
            raise Failed("a three")
        return Guess(images=torch.full((1, 1, 8, 8), seen.labels.item() / 10), labels=seen.labels)


class AllAtOnce(UpdateAttack):
    def attack_all(self, observations: Sequence[UpdateObservation]) -> list[Guess]:
        return [Guess(images=torch.zeros(0, 1, 8, 8), evaluations=len(observations)) for _ in observations]


class Broken(UpdateAttack):
    def __call__(self, seen: UpdateObservation) -> Guess:
        raise ZeroDivisionError("a mistake")


def observed() -> list[UpdateObservation]:
    images, _ = digits(3)
    network = victim(images)
    labels = torch.tensor([2, 3, 4])
    pairs = zip(images.split(1), labels.split(1), strict=True)
    return [observe(network, image, label) for image, label in pairs]


def test_an_attack_of_one_observation_answers_them_in_order_and_a_failure_is_an_empty_answer() -> None:
    two, three, four = FailsOnThrees().attack_all(observed())
    assert (two.images.unique().item(), four.images.unique().item()) == pytest.approx((0.2, 0.4))
    assert three.images.shape == (0, 1, 8, 8)
    assert three.labels is None
    assert three.notes == ("a three",)
    assert two.notes == ()


def test_of_an_update_that_is_not_finite_an_attack_of_one_observation_is_not_asked() -> None:
    first, *others = observed()
    broken = replace(first, update=(first.update[0] / 0, *first.update[1:]))
    empty, *answers = FailsOnThrees().attack_all([broken, *others])
    assert len(empty.images) == 0
    assert empty.notes == ("the update is not finite: the clients' own computing diverged",)
    assert [len(answer.images) for answer in answers] == [0, 1]


def test_every_answered_observation_is_reported() -> None:
    heard: list[Progress] = []
    with listening(heard.append):
        FailsOnThrees().attack_all(observed())
    assert heard == [Progress("attack", done, 3) for done in (1, 2, 3)]


def test_a_batched_attack_gets_all_of_them() -> None:
    assert [guess.evaluations for guess in AllAtOnce().attack_all(observed())] == [3, 3, 3]


def test_any_other_exception_is_no_answer() -> None:
    with pytest.raises(ZeroDivisionError, match="a mistake"):
        Broken().attack_all(observed())
