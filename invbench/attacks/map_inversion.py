"""Model inversion by the maximum a posteriori value (Fredrikson et al. 2014, USENIX Security, pp. 17-32)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

from invbench.attacks import Attack
from invbench.observation import AttributeGuess, AttributeObservation, AttributePublic, Failed
from invbench.registry import attack


@attack(game="attribute")
@dataclass(frozen=True, kw_only=True)
class MapInversion(Attack[AttributePublic, AttributeObservation, AttributeGuess]):
    """Exact posterior of the sensitive attribute: likelihood times published priors, summed over the unknown.

    P(v | y, known) ~ sum over x that agree with the known, x_t = v, of pi(y, f(x)) prod_i p_i(x_i).

    pi is the paper's "performance statistics": how often the model says f(x) where y is true. The paper takes
    the confusion matrix of a classifier, and for a regression a Gaussian of its standard error; here it is
    the density that the released model states of its own output. Where that is a point mass, the sum runs over
    the x with f(x) = y, which is the paper's attack without performance statistics. p_i are published priors;
    the paper multiplies marginals, here they are those of the person's own group (genotypes by race).
    """

    def __call__(self, seen: AttributeObservation) -> AttributeGuess:
        """Probabilities over the values; Failed where no value explains the output."""
        public = seen.public
        group = seen.attributes[public.prior.group]
        priors = {name: by_group[group] for name, by_group in public.prior.table.items()}
        unknown = [name for name in priors if name not in seen.attributes]
        terms: dict[str, list[float]] = {value: [] for value in public.values}
        for values in product(*(priors[name] for name in unknown)):
            guess: dict[str, Any] = dict(zip(unknown, values, strict=True))
            prior = math.prod(priors[name][value] for name, value in guess.items())
            if prior > 0:
                likelihood = seen.model.log_likelihood(seen.output, {**seen.attributes, **guess})
                terms[guess[public.sensitive]].append(math.log(prior) + likelihood)
        return AttributeGuess(
            probabilities=_normalised([terms[value] for value in public.values]),
            evaluations=sum(map(len, terms.values())),
        )


def _normalised(log_terms: list[list[float]]) -> tuple[float, ...]:
    largest = max((term for terms in log_terms for term in terms), default=-math.inf)
    if largest == -math.inf:
        raise Failed("no value of the unknown attributes explains the output")
    sums = [math.fsum(math.exp(term - largest) for term in terms) for terms in log_terms]
    return tuple(total / math.fsum(sums) for total in sums)
