"""What crosses the wall in game `attribute`: a person's output and other attributes, and a distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from invbench.observation._base import Answer, Observation, Plain


class AttributeModel(Protocol):
    """A released model, as whoever holds it can use it."""

    def log_likelihood(self, output: float, attributes: Mapping[str, Plain]) -> float:
        """Log density of an output given every attribute, up to a constant that no attribute changes."""
        ...


@dataclass(frozen=True)
class AttributePrior:
    """What is published of a population whose attributes are independent within each group.

    `group`: the attribute that makes the groups (race). `shares[g]`: probability of group g.
    `table[name][g][value]`: probability of a value of attribute `name` in group g.
    """

    group: str
    shares: Mapping[str, float]
    table: Mapping[str, Mapping[Plain, Mapping[Plain, float]]]

    def marginal(self, name: str) -> dict[Plain, float]:
        """Probabilities of an attribute's values over all groups."""
        total: dict[Plain, float] = {}
        for group, share in self.shares.items():
            for value, probability in self.table[name][group].items():
                total[value] = total.get(value, 0.0) + share * probability
        return total


@dataclass(frozen=True)
class AttributePublic:
    """What everybody knows of one cell of game `attribute`.

    `values`: the sensitive attribute's possible values, in a fixed order. `background`: the attributes
    that the attacker is given of each person, the prior's group among them.
    """

    model: str
    sensitive: str
    values: tuple[str, ...]
    background: tuple[str, ...]
    prior: AttributePrior


@dataclass(frozen=True, eq=False, kw_only=True)
class AttributeObservation(Observation[AttributePublic]):
    """One person's output and other attributes (game `attribute`).

    `attributes`: those of the background, by name. `output`: what the model's owner released (`iwpc`: the
    stable dose, mg/week). `model`: the released model itself, a fresh copy.
    """

    attributes: Mapping[str, Plain]
    output: float
    model: AttributeModel

    def nothing(self, reason: str) -> AttributeGuess:
        """The answer of an attack that failed: every value as likely as the next."""
        count = len(self.public.values)
        return AttributeGuess(probabilities=(1 / count,) * count, notes=(reason,))

    def complaint(self, answer: object) -> str | None:
        """As of every observation, and that there is one finite probability a value."""
        if wrong := super().complaint(answer):
            return wrong
        said, wanted = getattr(answer, "probabilities", None), len(self.public.values)
        try:
            numbers = [float(probability) for probability in said]  # type: ignore[union-attr]
        except (TypeError, ValueError):
            return f"probabilities must be numbers, not {type(said).__name__}"
        if len(numbers) != wanted or not all(map(math.isfinite, numbers)):
            return f"must have {wanted} finite probabilities, one a value; it has {len(numbers)}"
        return None


@dataclass(frozen=True)
class AttributeGuess(Answer):
    """Probabilities `(len(values),)` over the sensitive attribute's values; the guess is the largest."""

    probabilities: Sequence[float]
