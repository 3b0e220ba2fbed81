"""The functional mechanism: noise on the coefficients of a regression's objective (Zhang et al. 2012, arXiv 1208.0219).

Algorithm 1 for linear regression (section 4.2), then regularisation and spectral trimming (section 6).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from invbench.core.regression import Regression
from invbench.defenses import Context, Defense
from invbench.registry import defense, parameter


def sensitivity(regression: Regression) -> float:
    """How far one row replaced moves the objective's coefficients (sum of absolute values), its constant left out.

    2 max(2 |y| sum |x_j| + sum |x_j x_l|) <= 2 (2 R + R^2) with R the largest sum of absolute values of a row. The
    paper, whose rows may fill the unit cube, has R = d and counts the constant, y^2, which no minimiser depends on.
    """
    return 2 * (2 * regression.reach + regression.reach**2)


@defense
@dataclass(frozen=True, kw_only=True)
class FunctionalMechanism(Defense):
    """Add Laplace noise to every coefficient of the squared error's polynomial, and minimise that.

    Scale S / epsilon, S the objective's sensitivity: epsilon-differentially private with respect to one row replaced,
    where the ranges of the columns and the values of categories are public. The noisy objective may have no minimum:
    4 standard deviations of the noise are added to its diagonal, and directions whose eigenvalue is still not positive
    are left out (section 6). The guarantee is of the coefficients: the stated error (training RMSE), and how common a
    category is, which stands in for one that no training row has, are released without noise. With missing numbers,
    which count as the training rows' mean, there is none: such cells are not played.
    """

    epsilon: float = parameter(help="privacy loss of the released coefficients", above=0)

    def regression(self, regression: Regression, context: Context) -> Regression:
        scale, size = sensitivity(regression) / self.epsilon, len(regression.moment)
        drawn = torch.rand(size, size + 1, generator=context.generator, dtype=torch.float64)
        noise = -scale * (drawn - 0.5).sign() * torch.log1p(-2 * (drawn - 0.5).abs())
        # Of w_j w_l, j < l, the coefficient is 2 G_jl; of w_j it is -2 m_j.
        pairs = noise[:, :size].triu(1) / 2
        gram = regression.gram + pairs + pairs.T + noise[:, :size].diagonal().diag()
        moment = regression.moment + noise[:, size] / 2
        penalty = regression.penalty + 4 * 2**0.5 * scale
        return replace(regression, gram=_trimmed(gram, penalty), moment=moment, penalty=0.0)


def _trimmed(gram: Tensor, penalty: float) -> Tensor:
    """The positive part of a symmetric matrix with its penalty, from its eigenvectors."""
    values, vectors = torch.linalg.eigh(gram + penalty * torch.eye(len(gram), dtype=gram.dtype))
    positive: Tensor = (vectors * values.clamp_min(0)) @ vectors.T
    return positive
