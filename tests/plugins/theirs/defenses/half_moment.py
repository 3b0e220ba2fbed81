"""Stage `regression`: half of what the target says."""

from __future__ import annotations

from dataclasses import dataclass, replace

from invbench.core.regression import Regression
from invbench.defenses import Context, Defense
from invbench.registry import defense


@defense
@dataclass(frozen=True, kw_only=True)
class HalfMoment(Defense):
    """Coefficients are half as long."""

    def regression(self, regression: Regression, context: Context) -> Regression:
        return replace(regression, moment=regression.moment / 2)
