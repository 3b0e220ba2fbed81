"""Deep Leakage from Gradients (Zhu, Liu and Han 2019, arXiv 1906.08935, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from invbench.matching.leakage import LeakageRecipe
from invbench.registry import attack, parameter


@attack(game="update")
@dataclass(frozen=True, kw_only=True)
class Dlg(LeakageRecipe):
    """Pictures and soft labels together, by L-BFGS on the squared distance of the gradients.

    Given labels are never read.
    """

    labels: Literal["joint", "idlg"] = parameter("joint", help="where labels come from")
