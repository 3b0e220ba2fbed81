"""Inverting Gradients (Geiping, Bauermeister, Dröge and Moeller 2020, arXiv 2003.14053, equation 4)."""

from __future__ import annotations

from dataclasses import dataclass

from invbench.labels import LEFT_OUT
from invbench.matching.recipe import Recipe
from invbench.registry import attack, parameter
from invbench.updates.signals import OF_BATCHES


@attack(game="update", versions_with=LEFT_OUT | {OF_BATCHES: 2})
@dataclass(frozen=True, kw_only=True)
class InvertingGradients(Recipe):
    """Cosine distance plus total variation, by Adam on the gradient's sign, in a box.

    Adam 0.1 with decay by 0.1 at 3/8, 5/8 and 7/8; the restart with the least cosine distance is kept.
    The trap: the authors' library defaults are unsigned with TV 0.1 and 4,800 iterations, their command
    line is signed with TV 1e-4 and 24,000 iterations. Here: signed, 4,800 iterations, TV 0.01.
    """

    tv: float = parameter(0.01, at_least=0, help="weight of total variation (mean |dx| + mean |dy|, normalised space)")
