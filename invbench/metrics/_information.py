"""What noise leaves of an update, as Fisher information of its pictures: what every limit to PSNR is computed from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from invbench.metrics._images import Floats

TELLABLE = 1e14
"""Condition number of J'J above which full rank is not claimed: float64 may have made up the least eigenvalue."""


@dataclass(frozen=True, eq=False)
class Information:
    """J'J / s^2 of d unit-range pixels, in the eigenvectors that it has relative to a Gaussian prior.

    J `(n, d)`: derivative of what is sent, before its noise; s^2 = `variance`: of Gaussian noise of equal Fisher
    information, on every entry. With S = L L' the prior's covariance, l_i and v_i eigenvalues and -vectors of L'J'J L,

        tr (J'J / s^2)^-1 = sum_i w_i s^2 / l_i,    tr (J'J / s^2 + S^-1)^-1 = sum_i w_i / (1 + l_i / s^2),

    w_i = |L v_i|^2 over the d pixels that are asked about: all of the batch, or one client's. So `nodes` l and
    `weights` w, `(1, d)`, serve every s; of an update of n < d numbers `(1, n + 1)`, all zeros as one node. Instead of
    them `(probes, steps)`: those of a Gauss quadrature for each random probe (Golub and Meurant 1994), which is never
    above the trace that it estimates; (0, 0): none.
    `trace`: tr(J'J) over the d pixels, `trace_error` its standard error. `spread`: tr(S) over them. `exact`: nodes are
    eigenvalues.
    """

    pixels: int
    variance: float
    trace: float
    trace_error: float
    nodes: Floats
    weights: Floats
    spread: float
    exact: bool

    @property
    def full_rank(self) -> bool:
        """Whether every direction of the pictures changes what is sent, as far as float64 can tell."""
        return self.exact and self.nodes.size > 0 and float(self.nodes.min()) * TELLABLE >= float(self.nodes.max()) > 0

    def unbiased_error(self) -> float:
        """Least mean squared error a pixel of an unbiased estimate; NaN where there is none."""
        if not self.full_rank:
            return math.nan
        return self.variance * float((self.weights / self.nodes).sum()) / self.pixels

    def prior_error(self) -> tuple[float, float]:
        """Mean squared error a pixel of the posterior mean, and its standard error over probes; NaN without nodes.

        Of a probe z the quadrature also says z'S z, whose mean is known: it is the control variate.
        """
        if not self.nodes.size:
            return math.nan, math.nan
        found = (self.weights / (1 + self.nodes.clip(min=0) / self.variance)).sum(axis=1)
        if self.exact:
            return float(found[0]) / self.pixels, 0.0
        known = self.weights.sum(axis=1)
        off = known - known.mean()
        varies = float(off @ off) > 1e-12 * float(known @ known)  # signs say the same of every white prior
        slope = float(off @ found) / float(off @ off) if varies else 0.0
        left = found - slope * (known - self.spread)
        error = float(left.std(ddof=2)) / math.sqrt(len(left))
        return float(left.mean()) / self.pixels, error / self.pixels


def information_of(jacobian: Floats, variance: float, covariance: Floats) -> Information:
    """That of J `(n, d)` in hand, beside a prior covariance `(d, d)`."""
    root = np.linalg.cholesky(covariance)
    whitened = jacobian @ root
    nodes, vectors = np.linalg.eigh(whitened.T @ whitened)
    weights = np.square(root @ vectors).sum(axis=0)
    trace, spread = float(np.square(jacobian).sum()), float(np.trace(covariance))
    return Information(jacobian.shape[1], variance, trace, 0.0, nodes[None], weights[None], spread, exact=True)


def decibels(error: float) -> float:
    """-10 log10 of a mean squared error; NaN of NaN, and of an error that is not above 0."""
    return -10 * math.log10(error) if error > 0 else math.nan


def error_in_decibels(error: float, deviation: float) -> float:
    """The standard error in dB of a mean squared error with this one."""
    return 10 / math.log(10) * deviation / error
