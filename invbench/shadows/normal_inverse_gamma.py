"""Normal data in many small groups, whose means and variances have one normal-inverse-gamma prior.

Murphy 2007, "Conjugate Bayesian analysis of the Gaussian distribution", sections 5 and 6; Gelman et al. 2013, "Bayesian
Data Analysis", section 3.3, whose parameters these are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_ITERATIONS = 60  # of L-BFGS; four numbers are fitted, which takes some twenty
_LEAST, _MOST = math.log(1e-12), math.log(1e12)  # of variances: equal answers have none
_WEAKEST, _STRONGEST = math.log(1e-3), math.log(1e4)  # of a prior, in observations; groups hold a few


@dataclass(frozen=True, eq=False)
class Groups:
    """What is sufficient of each group `(N,)`: how many values, their mean, their sum of squares about it."""

    count: Tensor
    mean: Tensor
    squares: Tensor

    @classmethod
    def of(cls, values: Tensor, group: Tensor) -> Groups:
        """The values `(K, N)` of each column that are in its group `(K, N)`; at least one."""
        count = group.sum(dim=0)
        mean = (values * group).sum(dim=0) / count
        return cls(count.double(), mean, ((values - mean).square() * group).sum(dim=0))


@dataclass(frozen=True, eq=False)
class StudentT:
    """Student's t with so many degrees of `freedom`, moved to `centre` and stretched by `scale`, `(N,)` each."""

    freedom: Tensor
    centre: Tensor
    scale: Tensor

    def log_density(self, value: Tensor) -> Tensor:
        """At one value of each, `(N,)`."""
        squared = ((value - self.centre) / self.scale).square() / self.freedom
        kernel = 0.5 * (self.freedom + 1) * squared.log1p() + self.scale.log() + 0.5 * (math.pi * self.freedom).log()
        return torch.lgamma((self.freedom + 1) / 2) - torch.lgamma(self.freedom / 2) - kernel


@dataclass(frozen=True, eq=False)
class Prior:
    """Variances are scaled inverse chi-squared(`freedom`, `variance`), means N(`mean`, variance / `strength`).

    `strength` and `freedom`: how many values the prior counts as, for means and for variances. All are scalars.
    """

    mean: Tensor
    strength: Tensor
    freedom: Tensor
    variance: Tensor

    def log_marginal(self, groups: Groups) -> Tensor:
        """Log density `(N,)` of each group's values, its mean and variance integrated out (Murphy, equation 171)."""
        strength, freedom, squares = self._after(groups)
        return (
            torch.lgamma(freedom / 2)
            - torch.lgamma(self.freedom / 2)
            + 0.5 * (self.strength / strength).log()
            + 0.5 * self.freedom * (self.freedom * self.variance).log()
            - 0.5 * freedom * squares.log()
            - 0.5 * groups.count * math.log(math.pi)
        )

    def predictive(self, groups: Groups) -> StudentT:
        """What another value of each group is, given those that it holds (Murphy, equation 176)."""
        strength, freedom, squares = self._after(groups)
        mean = (self.strength * self.mean + groups.count * groups.mean) / strength
        return StudentT(freedom, mean, (squares / freedom * (1 + 1 / strength)).sqrt())

    def _after(self, groups: Groups) -> tuple[Tensor, Tensor, Tensor]:
        """Strength, freedom and freedom times variance `(N,)` of the posterior (Murphy, equations 142 to 145)."""
        strength, freedom = self.strength + groups.count, self.freedom + groups.count
        apart = self.strength * groups.count / strength * (groups.mean - self.mean).square()
        return strength, freedom, self.freedom * self.variance + groups.squares + apart


def fitted(groups: Groups) -> Prior:
    """The prior under which all groups together are likeliest (empirical Bayes), by L-BFGS from their moments."""
    inside = groups.squares.sum() / (groups.count - 1).sum().clamp_min(1)
    between = (groups.mean - groups.mean.mean()).square().mean()
    unit = (inside + between).sqrt().clamp_min(1e-6)
    strength, freedom = inside / between.clamp_min(1e-12), torch.tensor(4.0, dtype=torch.float64)
    start = [groups.mean.mean() / unit, strength.log(), freedom.log(), inside.log()]
    found = torch.stack(start).nan_to_num(neginf=_LEAST).requires_grad_()
    optimizer = torch.optim.LBFGS([found], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = -_prior(found, unit).log_marginal(groups).mean()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    return _prior(found.detach(), unit)


def _prior(numbers: Tensor, unit: Tensor) -> Prior:
    """The prior of four unbounded numbers: its mean in units, and three logarithms, kept within bounds."""
    mean, strength, freedom, variance = numbers
    strength, freedom = (one.clamp(_WEAKEST, _STRONGEST).exp() for one in (strength, freedom))
    return Prior(mean * unit, strength, freedom, variance.clamp(_LEAST, _MOST).exp())
