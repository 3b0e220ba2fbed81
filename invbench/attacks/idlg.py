"""Improved Deep Leakage from Gradients (Zhao, Mopuri and Bilen 2020, arXiv 2001.02610, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from invbench.labels import LEFT_OUT
from invbench.matching.leakage import LeakageRecipe
from invbench.registry import attack, parameter


@attack(game="update", versions_with=LEFT_OUT)
@dataclass(frozen=True, kw_only=True)
class Idlg(LeakageRecipe):
    """The exact label from the last layer's gradient first, then the picture as in DLG.

    Given labels are never read. A start stops once it converged, as the authors' code does (at a loss of 1e-6).
    """

    labels: Literal["idlg", "joint"] = parameter("idlg", help="where labels come from")
