"""What crosses the wall in game `attribute`: a person's output and other attributes, and a distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from invbench.observation._base import Answer, Observation, Plain
from invbench.observation._counted import CountedPrior


class AttributeModel(Protocol):
    """A released model, as whoever holds it can use it."""

    def log_likelihood(self, output: Any, attributes: Mapping[str, Plain]) -> float:
        """Log density of an output given every attribute, up to a constant that no attribute changes."""
        ...

    def log_counts(self, output: Any, attributes: Mapping[str, Plain], sensitive: str) -> float:
        """The same from the numbers of training rows at a tree's leaves, where the protocol grants them."""
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

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes whose frequencies are known, the group first: the others depend on it."""
        return (self.group, *self.table)

    def given(self, name: str, known: Mapping[str, Plain]) -> Mapping[Plain, float]:
        """Probabilities of an attribute's values in the group of a person, over all groups where it is not known."""
        group = known.get(self.group)
        return self.table[name][group] if name != self.group and group in self.shares else self.marginal(name)

    def marginal(self, name: str) -> dict[Plain, float]:
        """Probabilities of an attribute's values over all groups."""
        if name == self.group:
            return {group: share for group, share in self.shares.items()}  # noqa: C416  a group is one kind of value
        total: dict[Plain, float] = {}
        for group, share in self.shares.items():
            for value, probability in self.table[name][group].items():
                total[value] = total.get(value, 0.0) + share * probability
        return total


@dataclass(frozen=True)
class AttributePublic:
    """What everybody knows of one cell of game `attribute`.

    `values`: the sensitive attribute's possible values, in a fixed order. `background`: the attributes
    that the attacker is given of each person. `prior`: the published frequencies; None where each observation holds
    those of the rows that trained its model. `leaf_counts`: whether a tree is released with the number of training
    rows at each leaf.
    """

    model: str
    sensitive: str
    values: tuple[str, ...]
    background: tuple[str, ...]
    prior: AttributePrior | None
    leaf_counts: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class AttributeObservation(Observation[AttributePublic]):
    """One person's output and other attributes (game `attribute`).

    `attributes`: those of the background, by name. `output`: what the model's owner released (`iwpc`: the
    stable dose, mg/week; of a model that was trained: the person's own target). `model`: the released model itself, not
    the one that scores. `counted`: frequencies of the rows that trained it, where none are public.
    """

    attributes: Mapping[str, Plain]
    output: float | str
    model: AttributeModel
    counted: CountedPrior | None = None

    @property
    def prior(self) -> AttributePrior | CountedPrior:
        """What is known of the population."""
        found = self.counted or self.public.prior
        assert found is not None
        return found

    def nothing(self, reason: str) -> AttributeGuess:
        """The answer of an attack that failed: every value as likely as the next."""
        count = len(self.public.values)
        return AttributeGuess(probabilities=(1 / count,) * count, notes=(reason,))

    def complaint(self, answer: object) -> str | None:
        """As of every observation, and that there is one finite probability a value."""
        return super().complaint(answer) or no_probabilities(answer, len(self.public.values))


def no_probabilities(answer: object, wanted: int) -> str | None:
    """What is wrong with the probabilities of an answer about so many values, in words; None where nothing is."""
    said = getattr(answer, "probabilities", None)
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
