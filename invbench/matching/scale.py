"""A client's loss that is scaled otherwise than the attacker assumes: the factor on it is fitted, not believed.

What is shared as one gradient has the factor on it, and the best one is known for every guess, c = <s, g> / <g, g> of
the update seen s and the simulated one g (variable projection, Golub and Pereyra 1973): `fitted` puts it into an
objective. Cosines know no length and stay as they are. Of several local steps a factor is one on the rate of each,
which bends the way that they go: there, and in an objective of another kind, it is one more variable, its logarithm
(`Problem.scaled`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from invbench.matching.clients import client_of
from invbench.matching.objectives import DIRECTIONS, Objective, l2, layer_l2
from invbench.matching.problem import Problem
from invbench.observation import Public, Update, UpdateObservation
from invbench.updates.moving import each_round
from invbench.updates.simulation import as_gradient, hidden_scale, multiple_of


def fitted(objective: Objective) -> Objective:
    """The objective with the best positive factor on what is simulated, where that has a closed form; else as it is."""
    return _FITTED.get(objective, objective)


def is_variable(public: Public, objective: Objective, simulate: bool) -> bool:
    """Whether the factor has to be sought together with the pictures, and follows from no guess."""
    several_steps = simulate and not multiple_of(public).exact
    return several_steps or not (objective in _FITTED or objective in DIRECTIONS)


def assumed_scale(public: Public, objective: Objective, simulate: bool) -> str | None:
    """What is to be said of an attack that takes a hidden factor for 1, None where it does not matter."""
    if hidden_scale(public) is None or not (
        is_variable(public, objective, simulate) or fitted(objective) is not objective
    ):
        return None
    return "the scale of the clients' loss is hidden and taken for that of a mean; `scale: fitted` fits it"


def found_scale(
    problem: Problem, variables: Tensor, index: int, seen: UpdateObservation, simulate: bool
) -> float | None:
    """The factor at `variables` `(targets, D)` of target `index`; None where what is simulated there has no length."""
    if problem.scaled:
        return math.exp(float(variables[index, -1]))
    images, labels = problem.images(variables)[index], problem.soft_labels(variables)[index]
    shared = [t for one in each_round(seen) for t in (one.update if simulate else as_gradient(one))]
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        simulated = client_of(seen, simulate)(images, labels, tuple(shared))
    product, power, _ = _products(simulated, tuple(shared), [1.0] * len(shared))
    return float(product / power) if power > 0 else None


def _fitted_l2(simulated: Update, seen: Update) -> Tensor:
    return _least(simulated, seen, [1.0] * len(seen))


def _fitted_layer_l2(simulated: Update, seen: Update) -> Tensor:
    sizes = [b.square().sum() for b in seen]
    return _least(simulated, seen, [1 / (len(seen) * torch.where(size > 0, size, 1.0)) for size in sizes])


def _least(simulated: Update, seen: Update, weights: Sequence[float | Tensor]) -> Tensor:
    """min over c > 0 of sum w |s - c g|^2. Where none is better than c = 0 it is made to rise with the angle:
    sum w |s|^2 (1 - cos), which has a slope back to where one is."""
    product, power, size = _products(simulated, seen, weights)
    power = torch.where(power > 0, power, 1.0)
    factor = torch.where(product > 0, product / power, 0.0)
    squares = [w * (b - factor * a).square().sum() for a, b, w in zip(simulated, seen, weights, strict=True)]
    turned = torch.where(product > 0, 0.0, -product * (size / power).sqrt())
    return torch.stack(squares).sum() + turned


def _products(simulated: Update, seen: Update, weights: Sequence[float | Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted <s, g>, <g, g> and <s, s>."""
    terms = list(zip(simulated, seen, weights, strict=True))
    product = torch.stack([w * (a * b).sum() for a, b, w in terms]).sum()
    power = torch.stack([w * a.square().sum() for a, _, w in terms]).sum()
    return product, power, torch.stack([w * b.square().sum() for _, b, w in terms]).sum()


_FITTED: Mapping[Objective, Objective] = {l2: _fitted_l2, layer_l2: _fitted_layer_l2}
