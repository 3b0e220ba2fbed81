"""Deep Leakage from Gradients (Zhu, Liu and Han 2019, arXiv 1906.08935, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from invbench.matching.leakage import LeakageRecipe
from invbench.registry import attack, parameter
from invbench.updates.signals import OF_BATCHES


@attack(game="update", version=2, versions_with={OF_BATCHES: 3})
@dataclass(frozen=True, kw_only=True)
class Dlg(LeakageRecipe):
    """Pictures and soft labels together, by L-BFGS on the squared distance of the gradients.

    Given labels are never read. The authors' code has no stop: a start whose loss is small enough to need no other goes
    on until it rests, which is worth 5 to 12 dB; `finish: false` stops there.
    """

    finish: bool = parameter(
        True, later=True, help="a lane goes on below `converged`, until it rests or its iterations are spent"
    )
    labels: Literal["joint", "idlg"] = parameter("joint", help="where labels come from")
