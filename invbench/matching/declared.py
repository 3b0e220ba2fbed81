"""The objective `declared`: what an adaptive attacker holds against a guess, by the rules of the declared defences.

- A rule by which several values become one (top-k, rounding to the nearest level) leaves an interval: `Stack.interval`.
- An entry of which nothing is seen (infinite variance in `Stack.expected`: left out, not shared) may be anything.
- Where only signs are shared, only signs are compared (`sign_agreement`).

A factor that only the client knows (clipping) is fitted by all of them, which know no lengths. Noise of one size on
all entries changes nothing: the cosine is its likelihood once the factor is fitted.
"""

from __future__ import annotations

import torch

from invbench.matching.objectives import OBJECTIVES, Objective, declared_cosine, sign_agreement
from invbench.observation import Update, UpdateObservation
from invbench.updates.pooling import stack_behind

Ends = tuple[Update, Update]
"""The lower and the upper end of every entry's interval, one tensor a parameter each."""


def objective_for(name: str, seen: UpdateObservation) -> Objective:
    """The objective of this name, `declared` as the declared defences have it."""
    found = OBJECTIVES[name]
    signs = found is declared_cosine and seen.public.clients == 1 and stack_behind(seen).signs_alone
    return sign_agreement if signs else found


def declared(seen: UpdateObservation) -> tuple[Update, Ends]:
    """The update as the client computed it, as far as it is told, and the ends of every entry's interval.

    It is the middle of the interval, which a known factor (n/k of random-k) is not on any more, and zero where nothing
    was told. A mean over several clients follows none of their rules: it is taken as it is.
    """
    update, stack = seen.update, stack_behind(seen)
    if seen.public.clients > 1 or not seen.public.defenses:
        return update, (update, update)
    ends = _sent(update, stack.leaves_out) if stack.signs_alone else stack.interval(update)
    still = tuple(torch.zeros_like(tensor, dtype=torch.float64) for tensor in update)
    _, variance = stack.expected(tuple(tensor.double() for tensor in update), still, update)
    untold = [torch.isinf(tensor) for tensor in variance]
    low, high = (
        tuple(torch.where(hidden, end, tensor) for hidden, tensor in zip(untold, side, strict=True))
        for side, end in zip(ends, (-torch.inf, torch.inf), strict=True)
    )
    middle = (torch.where((a + b).isfinite(), (a + b) / 2, 0.0) for a, b in zip(low, high, strict=True))
    return tuple(middle), (low, high)


def _sent(update: Update, leaves_out: bool) -> Ends:
    """Every sign as it is; a zero may have been left out, and be anything."""
    if not leaves_out:
        return update, update
    low, high = (tuple(torch.where(t == 0, end, t) for t in update) for end in (-torch.inf, torch.inf))
    return low, high
