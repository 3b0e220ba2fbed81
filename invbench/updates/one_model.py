"""Which observations come from one global model, so that what is computed of it is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch

from invbench.observation import UpdateObservation

Seen = TypeVar("Seen", bound=UpdateObservation)


def same_weights(a: UpdateObservation, b: UpdateObservation) -> bool:
    """Whether two observations come from one global model, so that their lanes can share its weights."""
    ours, theirs = a.model.state_dict(), b.model.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def by_weights(observations: Sequence[Seen]) -> list[list[Seen]]:
    """Consecutive observations of one global model together: their lanes share its weights."""
    groups: list[list[Seen]] = []
    for seen in observations:
        if groups and same_weights(groups[-1][0], seen):
            groups[-1].append(seen)
        else:
            groups.append([seen])
    return groups
