"""The pharmacogenetic warfarin dosing algorithm (International Warfarin Pharmacogenetics Consortium 2009).

N Engl J Med 360:753, Supplementary Appendix, section S1e. Several public copies have wrong signs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from invbench.models import TableModel
from invbench.registry import model, parameter

INTERCEPT = 5.6044
PER_DECADE = -0.2614
PER_CM = 0.0087
PER_KG = 0.0128
EFFECTS: Mapping[str, Mapping[Any, float]] = {
    "vkorc1": {"G/G": 0.0, "A/G": -0.8677, "A/A": -1.6974, "unknown": -0.4854},
    "cyp2c9": {
        "*1/*1": 0.0,
        "*1/*2": -0.5211,
        "*1/*3": -0.9357,
        "*2/*2": -1.0616,
        "*2/*3": -1.9206,
        "*3/*3": -2.3312,
        "unknown": -0.2188,
    },
    "race": {"white": 0.0, "asian": -0.1092, "black": -0.2760, "missing or mixed": -0.1032},
    "inducer": {False: 0.0, True: 1.1816},  # carbamazepine, phenytoin or rifampicin
    "amiodarone": {False: 0.0, True: -0.5503},
}
"""What each value adds to the square root of the dose, sqrt(mg/week)."""


@model(data="table")
@dataclass(frozen=True, kw_only=True)
class IWPC(TableModel):
    """IWPC pharmacogenetic regression of the stable warfarin dose.

    The output is a person's stable dose in mg/week, (prediction + e)^2 with e ~ N(0, residual^2): what the
    owner releases is the dose that a person takes, not the bare prediction.
    """

    residual: float = parameter(
        1.0,
        at_least=0,
        unit="sqrt(mg/week)",
        help="standard deviation of what the regression leaves unexplained; 0 releases the bare prediction",
    )

    def predict(self, attributes: Mapping[str, Any]) -> float:
        """Square root of the stable dose, sqrt(mg/week).

        `age` in years, of which the decade is read (65 is 6; 9 from 90 on), `height` in cm, `weight` in kg,
        and `vkorc1, cyp2c9, race, inducer, amiodarone` as in `EFFECTS`. ValueError for another value.
        """
        root = INTERCEPT + PER_DECADE * min(attributes["age"] // 10, 9)
        root += PER_CM * attributes["height"] + PER_KG * attributes["weight"]
        return float(root + sum(_effect(name, attributes[name]) for name in EFFECTS))

    def output(self, attributes: Mapping[str, Any], generator: np.random.Generator) -> float:
        """A stable dose drawn for these attributes, mg/week."""
        return float((self.predict(attributes) + self.residual * generator.standard_normal()) ** 2)

    def log_likelihood(self, output: float, attributes: Mapping[str, Any]) -> float:
        """Log density of sqrt(output) given every attribute; -inf where impossible.

        The square hides the sign of prediction + e, so both roots count: N(r; m, s^2) + N(-r; m, s^2) with
        r = sqrt(output). The density of the dose itself has a factor 1 / (2 r) that no attribute changes.
        """
        root, mean = math.sqrt(output), self.predict(attributes)
        if self.residual == 0:
            return 0.0 if math.isclose(root, abs(mean), rel_tol=1e-9) else -math.inf
        far, near = sorted(-0.5 * ((r - mean) / self.residual) ** 2 for r in (root, -root))
        return near + math.log1p(math.exp(far - near)) - math.log(self.residual * math.sqrt(2 * math.pi))

    def error(self, output: float, attributes: Mapping[str, Any]) -> float:
        """How far the predicted dose is from the one taken, mg/week."""
        return abs(self.predict(attributes) ** 2 - output)


def _effect(name: str, value: Any) -> float:
    if value not in EFFECTS[name]:
        raise ValueError(f"{name} must be one of {', '.join(map(str, EFFECTS[name]))}, not {value!r}")
    return EFFECTS[name][value]
