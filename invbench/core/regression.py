"""A least-squares regression as a value that a defence may change."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Regression:
    """The objective w' G w - 2 m' w + penalty |w|^2 of n rows, and what is added to its minimiser.

    `gram` G = sum x x' `(d, d)`; `moment` m = sum y x `(d,)`; float64. Features lie in [-1, 1], the absolute values of
    a row sum to at most `reach`, targets lie in [-1, 1]. `noise` `(d,)`: added to the coefficients.
    """

    gram: Tensor
    moment: Tensor
    penalty: float
    rows: int
    reach: float
    noise: Tensor

    @property
    def coefficients(self) -> Tensor:
        """The minimiser `(d,)`, of several the shortest, with the noise."""
        whole = self.gram + self.penalty * torch.eye(len(self.moment), dtype=torch.float64)
        inverse: Tensor = torch.linalg.pinv(whole, hermitian=True)
        return inverse @ self.moment + self.noise
