"""Which observations come from one global model, so that what is computed of it is computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from invbench.observation import UpdateObservation

Seen = TypeVar("Seen", bound=UpdateObservation)


def same_weights(a: UpdateObservation, b: UpdateObservation) -> bool:
    """Whether two observations come from one global model in each round, so that their lanes can share its weights."""
    ours, theirs = _models(a), _models(b)
    pairs = zip(ours, theirs, strict=False)
    return len(ours) == len(theirs) and all(_alike(one.state_dict(), other.state_dict()) for one, other in pairs)


def _models(seen: UpdateObservation) -> list[nn.Module]:
    """Of each round: where the model stays they are one."""
    return list({id(one): one for one in (seen.model, *(of.model for of in seen.rounds))}.values())


def _alike(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
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
