"""Output perturbation: noise on the coefficients of a regression (Chaudhuri, Monteleoni and Sarwate 2011, section 3).

J. Machine Learning Research 12:1069, arXiv 0912.0086. There the loss is Lipschitz; that of least squares is so only
where the coefficients are bounded, as ridge regression bounds them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from invbench.core.regression import Regression
from invbench.defenses import Context, Defense
from invbench.registry import defense, parameter


def sensitivity(regression: Regression) -> float:
    """How far the coefficients can move (Euclidean) when one row of the training set is replaced by another.

    J(w) = sum of (x'w - y)^2 + alpha |w|^2 is 2 alpha strongly convex, so the minimiser moves by at most the norm of
    the difference of two rows' gradients over 2 alpha: 2 * 2 |x| (|x| |w| + |y|) / (2 alpha). |y| <= 1; |x|^2 is at
    most `reach` R, since no feature is above 1; and alpha |w|^2 <= J(w) <= J(0) <= n bounds |w|.
    """
    norm, largest = math.sqrt(regression.reach), math.sqrt(regression.rows / regression.penalty)
    return 2 * norm * (norm * largest + 1) / regression.penalty


@defense
@dataclass(frozen=True, kw_only=True)
class OutputPerturbation(Defense):
    """Add a vector of density ~ exp(-epsilon |b| / S) to the coefficients of a ridge regression.

    S is how far one row can move them; then what is released is epsilon-differentially private with respect to one row
    replaced, where the ranges of the columns and the values of categories are public. The guarantee is of the
    coefficients: the stated error (training RMSE), and how common each category is, which stands in for one that no
    training row has, are released without noise. With missing numbers, which count as the training rows' mean, there is
    none: such cells are not played. A small `alpha` makes S large.
    """

    epsilon: float = parameter(help="privacy loss of the released coefficients", above=0)

    def regression(self, regression: Regression, context: Context) -> Regression:
        size = len(regression.moment)
        direction = torch.randn(size, generator=context.generator, dtype=torch.float64)
        # A norm of density ~ r^(d-1) exp(-epsilon r / S): the sum of d exponential draws.
        uniform = torch.rand(size, generator=context.generator, dtype=torch.float64)
        norm = -torch.log1p(-uniform).sum() * sensitivity(regression) / self.epsilon
        return replace(regression, noise=regression.noise + direction / direction.norm() * norm)
