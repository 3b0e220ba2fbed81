"""What a defence answers when it is asked is checked before anybody counts on it, and the complaint names it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from invbench.defenses import Defense, Noise, Round, Stack
from invbench.defenses._contract import BrokenContract, checked_reason
from invbench.defenses.clip import Clip
from invbench.defenses.gaussian import Gaussian
from invbench.privacy.rounds import guarantee_of_round
from invbench.protocol import Multiple
from invbench.updates.noisy import Noisy, noisy

UPDATE = (torch.ones(3), torch.zeros(2, 2))
NOT_A_NUMBER = (torch.full((3,), math.nan), torch.zeros(2, 2))


def answering(method: str, answer: object) -> Stack:
    """A stack of one defence that acts on updates and gives this answer, whatever it is asked."""
    own: dict[str, Any] = {"update": lambda self, shared, context: shared, method: lambda self, *asked: answer}
    return Stack((type("Odd", (Defense,), own)(),))


def noise_of(stack: Stack) -> Noisy | str | None:
    return noisy(stack, ["odd"], 1, Multiple(1.0, exact=True))


ODD: dict[str, tuple[Callable[[Stack], object], list[object]]] = {
    "clients_seen": (lambda stack: stack.clients_seen(2), [-1, 0, 3, 1.5, None, True]),
    "of_round": (lambda stack: stack.of_round(Round(1)), [None, 5]),
    "on": (lambda stack: stack.on(torch.nn.Linear(1, 1)), [None, "x"]),
    "round_notes": (lambda stack: stack.round_notes(2), [3, "abc", [1], None]),
    "training_notes": (lambda stack: stack.training_notes(None), [3, "abc", [1], None]),  # type: ignore[arg-type]
    "noise_sent": (
        noise_of,
        [3, *(Noise(v) for v in (-1.0, math.nan, math.inf, "x")), Noise(1.0, behind=("x",))],  # type: ignore[arg-type]
    ),
    "seen_as": (
        lambda stack: stack.expected(UPDATE, UPDATE, UPDATE),
        [None, UPDATE, (UPDATE, UPDATE[:1]), (UPDATE[::-1], UPDATE), (NOT_A_NUMBER, UPDATE), (None, UPDATE)],
    ),
    "interval": (lambda stack: stack.interval(UPDATE), [None, (UPDATE, NOT_A_NUMBER), (UPDATE[:1], UPDATE)]),
}


@pytest.mark.parametrize("method", ODD)
def test_odd_answers_are_refused_with_the_defence_and_the_method(method: str) -> None:
    ask, answers = ODD[method]
    for answer in answers:
        with pytest.raises(BrokenContract, match=r"defence Odd: .*(notes|noise|must|gives)"):
            ask(answering(method, answer))


@pytest.mark.parametrize("said", [True, "", " ", 3, ["no"]])
def test_a_reason_is_words(said: object) -> None:
    with pytest.raises(BrokenContract, match="in words"):
        checked_reason("Odd", said)


def test_a_reason_stands_on_one_line() -> None:
    assert checked_reason("Odd", "no\n# and a heading") == "no # and a heading"
    assert len(checked_reason("Odd", "x" * 10_000) or "") == 1000
    assert checked_reason("Odd", None) is None


def test_what_is_known_of_an_update_that_is_undefined_is_undefined() -> None:
    """A client that diverged is no defence's fault."""
    assert answering("seen_as", (NOT_A_NUMBER, UPDATE)).expected(NOT_A_NUMBER, UPDATE, NOT_A_NUMBER)[1] is UPDATE


@pytest.mark.parametrize("said", ["no", 1, [0]])
def test_words_for_true_guarantee_nothing(said: object) -> None:
    """`shortens = "no"` would keep a clip's bound, `smooth = "no"` would give a limit: only True says either."""
    own = {"update": lambda self, shared, context: shared, "shortens": said, "smooth": said}
    odd = type("Odd", (Defense,), own)()
    named = [("clip", Clip(norm=1.0)), ("odd", odd), ("gaussian", Gaussian(std=1.0))]
    assert guarantee_of_round(named) == "odd, after the clip and before any noise, may make an update longer"
    stack = Stack(tuple(defense for _, defense in named))
    assert isinstance(noisy(stack, [name for name, _ in named], 1, Multiple(1.0, exact=True)), str)
