"""What crosses the wall in game `extraction`: a language model, what is asked of it, and the strings that come back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from invbench.observation._base import Answer, Observation, Plain


class Tokenizer(Protocol):
    """Text to token numbers and back. Every decimal digit is a token of its own."""

    @property
    def size(self) -> int: ...
    def encode(self, text: str) -> list[int]: ...
    def decode(self, tokens: Sequence[int]) -> str: ...


@dataclass(frozen=True, eq=False)
class ExtractionPublic:
    """What everybody knows of one cell of game `extraction`.

    A secret is `digits` decimal digits, each of the 10^`digits` equally likely; in the training text it stands
    between a prefix and `suffix`. `answers`: how many strings an attack may answer. `text`: public text of the kind
    that the model was trained on. `model_settings`: the model's own, by name (layers, width, heads, context, ...).
    """

    model: str
    model_settings: Mapping[str, Plain]
    tokenizer: Tokenizer
    digits: int
    suffix: str
    answers: int
    text: str

    @property
    def space(self) -> int:
        """How many secrets there are, |R|."""
        return int(10**self.digits)


@dataclass(frozen=True, eq=False, kw_only=True)
class ExtractionObservation(Observation[ExtractionPublic]):
    """A released language model, and what precedes one secret in its training text (game `extraction`).

    `model`: a fresh copy; tokens `(B, T)` to logits `(B, T, vocabulary)`. `prefix`: the words before the secret,
    which the attacker knows.
    """

    model: nn.Module
    prefix: str

    def nothing(self, reason: str) -> ExtractionGuess:
        """The answer of an attack that failed: no string."""
        return ExtractionGuess(strings=(), notes=(reason,))

    def complaint(self, answer: object) -> str | None:
        """As of every observation, and that strings, scores and tail are as `ExtractionGuess` says."""
        if wrong := super().complaint(answer):
            return wrong
        strings, allowed = getattr(answer, "strings", None), self.public.answers
        if not isinstance(strings, list | tuple) or not all(isinstance(one, str) for one in strings):
            return f"strings must be a list of text, not {type(strings).__name__}"
        if len(strings) > allowed:
            return f"has {len(strings)} strings, {allowed} may be answered; an attack ranks them and gives the best"
        scores = getattr(answer, "scores", None)
        if scores is not None and (not isinstance(scores, Tensor) or tuple(scores.shape) != (self.public.space,)):
            return f"scores must be a tensor ({self.public.space},), one a secret in counting order"
        if scores is not None and bool(scores.isnan().any()):
            return "its scores hold NaN"
        tail = getattr(answer, "tail", None)
        if tail is not None and (len(tail) != 3 or not all(map(math.isfinite, tail)) or tail[2] <= 0):
            return f"tail must be shape, location and a positive scale, all finite, not {tail!r}"
        return None


@dataclass(frozen=True, eq=False)
class ExtractionGuess(Answer):
    """Strings that the attacker takes for training text, the likeliest first, at most `public.answers`.

    `scores` `(|R|,)`: of every secret after the prefix, in counting order, higher where it is likelier to have been
    trained on. `tail`: instead of them the skew-normal distribution (shape, location, scale) of the secrets'
    surprise, -log2 of their probability after the prefix. Neither: the attack ranks no secrets.
    """

    strings: Sequence[str]
    scores: Tensor | None = None
    tail: tuple[float, float, float] | None = None
