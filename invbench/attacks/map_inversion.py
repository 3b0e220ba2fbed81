"""Model inversion by the maximum a posteriori value (Fredrikson et al. 2014, USENIX Security, pp. 17-32)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from invbench.attacks import Attack
from invbench.observation import AttributeGuess, AttributeObservation, AttributePublic, Failed, Plain
from invbench.registry import attack, parameter


@attack(game="attribute")
@dataclass(frozen=True, kw_only=True)
class MapInversion(Attack[AttributePublic, AttributeObservation, AttributeGuess]):
    """Exact posterior of the sensitive attribute: likelihood times published priors, summed over the unknown.

    P(v | y, known) ~ sum over x that agree with the known, x_t = v, of pi(y, f(x)) prod_i p_i(x_i).

    pi is the paper's "performance statistics": how often the model says f(x) where y is true. The paper takes
    the confusion matrix of a classifier, and for a regression a Gaussian of its standard error; here it is
    the density that the released model states of its own output. Where that is a point mass, the sum runs over
    the x with f(x) = y, which is the paper's attack without performance statistics. Where a tree's leaf counts are
    granted, pi is the likelihood that they give (Fredrikson et al. 2015, section 4), which already says how attributes
    go together: it belongs to marginal priors, and with conditional ones that counts twice. p_i are priors: the paper
    multiplies marginals; conditional ones are those of the person's own group (genotypes by race), each unknown
    attribute given the known ones and those summed over before it.
    """

    prior: Literal["conditional", "marginal"] = parameter(
        "conditional", later=True, help="of unknown attributes: given the person's known categories, or over everybody"
    )

    def __call__(self, seen: AttributeObservation) -> AttributeGuess:
        """Probabilities over the values; Failed where no value explains the output."""
        public = seen.public
        unknown = [name for name in seen.prior.names if name not in seen.attributes]
        terms: dict[str, list[float]] = {value: [] for value in public.values}
        for guess, prior in self._people(seen, unknown):
            person = {**seen.attributes, **guess}
            if public.leaf_counts:
                likelihood = seen.model.log_counts(seen.output, person, public.sensitive)
            else:
                likelihood = seen.model.log_likelihood(seen.output, person)
            terms[person[public.sensitive]].append(math.log(prior) + likelihood)
        return AttributeGuess(
            probabilities=_normalised([terms[value] for value in public.values]),
            evaluations=sum(map(len, terms.values())),
        )

    def _people(self, seen: AttributeObservation, unknown: list[str]) -> Iterator[tuple[dict[str, Any], float]]:
        """Every choice of the unknown attributes that the prior allows, with its probability."""
        found: list[tuple[dict[str, Any], float]] = [({}, 1.0)]
        for name in unknown:
            of = partial(self._shares, seen, name)
            found = [({**guess, name: v}, chance * p) for guess, chance in found for v, p in of(guess).items()]
        return ((guess, chance) for guess, chance in found if chance > 0)

    def _shares(self, seen: AttributeObservation, name: str, guess: dict[str, Any]) -> Mapping[Plain, float]:
        """The prior of an attribute."""
        if self.prior == "marginal":
            return seen.prior.marginal(name)
        return seen.prior.given(name, {**seen.attributes, **guess})


def _normalised(log_terms: list[list[float]]) -> tuple[float, ...]:
    largest = max((term for terms in log_terms for term in terms), default=-math.inf)
    if largest == -math.inf:
        raise Failed("no value of the unknown attributes explains the output")
    sums = [math.fsum(math.exp(term - largest) for term in terms) for terms in log_terms]
    return tuple(total / math.fsum(sums) for total in sums)
