"""The settings that DLG and iDLG share: L-BFGS on the squared distance, a fresh start when one fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from invbench.matching.objectives import ObjectiveName
from invbench.matching.recipe import Recipe
from invbench.registry import parameter


@dataclass(frozen=True, kw_only=True)
class LeakageRecipe(Recipe):
    """L-BFGS with step 1 and history 100, standard normal start, no prior and no box (Zhu et al. 2019, section 4).

    The paper stops after 1,200 iterations, the authors' code after 300 calls of 20, as here. It diverges or
    comes to rest on some starts, so a lane that ends unconverged by its own loss is given a fresh one.
    """

    iterations: int = parameter(6000, at_least=1, help="L-BFGS steps of one start; a step is one evaluation")
    restarts: int = parameter(8, at_least=1, help="most starts; another only where the last one did not converge")
    lr: float = parameter(1.0, above=0, help="step length")
    objective: ObjectiveName = parameter("l2", help="distance of the updates")
    optimizer: Literal["adam", "signed-adam", "lbfgs", "lbfgs-wolfe"] = parameter(
        "lbfgs", help="how a lane is minimised; lbfgs-wolfe searches along every line"
    )
    boxed: bool = parameter(False, help="keep pictures inside the range of real ones after every step")
    converged: float = parameter(
        1e-8, at_least=0, help="converged: this objective (l2: as a share of the update's squared norm)"
    )
