"""Several rounds of one batch at the same weights, read as one update.

A client whose batch stays the same defends it anew in each round, and what it draws averages out: of noise and of
stochastic rounding the mean of R rounds has an R-th of the variance, and a coordinate that random-k keeps with
probability q is sent in R q rounds. What a rule leaves open stays as it is. Where signs of a noisy update are sent, how
often a sign is positive tells the value (`signs.py`).

What draws act on pictures (mixtures, augmentations, PRECODE's codes) are not averaged: the mean of such gradients is
the gradient of no picture, and the first round is read alone. `Pooled.update` and `Pooled.stack` belong together: the
stack says what to expect of that update, as a stack of defences does of one round's. Rounds at weights that move are
not averaged either: whoever can reads them one by one (`moving.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from invbench.defenses import Stack
from invbench.observation import Update, UpdateObservation
from invbench.updates.moving import moves
from invbench.updates.signs import of_signs
from invbench.updates.simulation import stack_of


@dataclass(frozen=True, eq=False)
class Pooled:
    """What an attacker makes of several rounds, and the stack behind which it is."""

    update: Update
    stack: Stack


def pooled(seen: UpdateObservation) -> UpdateObservation:
    """The observation whose update is that of all its rounds together; as it is where one round tells as much."""
    if seen.pooled or (made := _of_all(seen)) is None:
        return seen
    return replace(seen, update=made.update, pooled=True)


def stack_behind(seen: UpdateObservation) -> Stack:
    """The declared defences, as they stand before the update as it is read: of one round or of all of them."""
    made = _of_all(seen) if seen.pooled else None
    return stack_of(seen.public) if made is None else made.stack


def pool(stack: Stack, sent: Sequence[Update], clients: int = 1) -> Pooled | None:
    """What the updates sent in several rounds, one tensor a parameter each, say together of what is behind a stack.

    None where one says as much: nothing is drawn anew, or what is drawn acts on the pictures. Of means over several
    `clients` the mean over rounds is taken, whatever was drawn.
    """
    if stack.acts("inputs") or not any(defense.redraws for defense in stack.defenses):
        return None
    if clients == 1 and (signs := of_signs(stack, sent)) is not None:
        return Pooled(*signs)
    averaged = _Averaged(stack.defenses, tuple(sent))
    return Pooled(averaged.mean(), averaged)


def _of_all(seen: UpdateObservation) -> Pooled | None:
    if not seen.rounds or moves(seen.public):
        return None
    return pool(stack_of(seen.public), [one.update for one in seen.rounds], seen.public.clients)


@dataclass(frozen=True, eq=False)
class _Averaged(Stack):
    """Defences before the mean of what was `sent` in several rounds: of each entry over those rounds that tell of it.

    With r of R rounds telling of an entry, its variance is what all rounds share (rounding of the gradient, rules) plus
    an r-th of what is drawn anew.
    """

    sent: tuple[Update, ...] = ()

    def mean(self) -> Update:
        """Zero where no round tells of an entry."""
        return _over_rounds(list(self.sent), self._told())

    def expected(self, mean: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """`seen` is not read: every round's own is."""
        rules = Stack(tuple(defense for defense in self.defenses if not defense.redraws))
        still = tuple(torch.zeros_like(tensor) for tensor in variance)
        means, common, fresh, told = [], [], [], []
        for sent in self.sent:
            expected, total = super().expected(mean, variance, sent)
            drawn, ruled = super().expected(mean, still, sent)[1], rules.expected(mean, still, sent)[1]
            told.append(tuple(torch.isfinite(t) for t in total))
            means.append(expected)
            fresh.append(tuple((d - r).clamp(min=0) for d, r in zip(drawn, ruled, strict=True)))
            common.append(tuple(t - d + r for t, d, r in zip(total, drawn, ruled, strict=True)))
        counts = _counts(told)
        shares = zip(_over_rounds(common, told), _over_rounds(fresh, told), counts, strict=True)
        return (
            tuple(
                torch.where(n > 0, m, first)
                for m, first, n in zip(_over_rounds(means, told), means[0], counts, strict=True)
            ),
            tuple(torch.where(n > 0, c + f / n.clamp(min=1), torch.inf) for c, f, n in shares),
        )

    def interval(self, seen: Update) -> tuple[Update, Update]:
        """The mean of the ends in those rounds that tell of an entry; anything where none does."""
        told, ends = self._told(), [super(_Averaged, self).interval(sent) for sent in self.sent]
        counts, sides = _counts(told), []
        for side, end in ((0, -torch.inf), (1, torch.inf)):
            over = _over_rounds([of_one[side] for of_one in ends], told)
            sides.append(tuple(torch.where(n > 0, value, end) for value, n in zip(over, counts, strict=True)))
        return sides[0], sides[1]

    def _told(self) -> list[tuple[torch.Tensor, ...]]:
        """Of each round which entries it tells of."""
        found = []
        for sent in self.sent:
            still = tuple(torch.zeros_like(tensor) for tensor in sent)
            found.append(tuple(torch.isfinite(t) for t in super().expected(sent, still, sent)[1]))
        return found


def _counts(told: Sequence[Update]) -> Update:
    return tuple(torch.stack(of_one).sum(dim=0) for of_one in zip(*told, strict=True))


def _over_rounds(values: Sequence[Update], told: Sequence[Update]) -> Update:
    """The mean of each entry over the rounds that tell of it, zero where none does."""
    total = None
    for of_round, known in zip(values, told, strict=True):
        here = tuple(torch.where(k, v, 0.0) for v, k in zip(of_round, known, strict=True))
        total = here if total is None else tuple(a + b for a, b in zip(total, here, strict=True))
    assert total is not None
    return tuple(t / n.clamp(min=1) for t, n in zip(total, _counts(told), strict=True))
