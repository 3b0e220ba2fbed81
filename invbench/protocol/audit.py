"""A training that is audited by canaries in one run (Steinke, Nasr and Jagielski 2023, arXiv 2305.08846)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from invbench.protocol import Protocol
from invbench.registry import parameter, protocol


@protocol(games=("audit",))
@dataclass(frozen=True, kw_only=True)
class Audit(Protocol):
    """Each canary is in the training with probability 1/2, by itself; who scores them is told all but that.

    A canary that is out keeps its place among the examples as one without gradient, so that numbers of examples, which
    are public, tell nothing. `dirac`: the scorer sees every step's noisy gradient, as a guarantee of DP-SGD supposes.
    `mislabelled`: he sees the trained model alone.

    `audited_epsilon`, of whatever mechanism, is by default the best over all thresholds above which "in" is guessed,
    `error` divided by how many there are, beside which its term in n delta is not small. With `surest` it guesses on
    one number of canaries, told beforehand, with all of `error`. Of 15,000 canaries at delta 1e-5, scores one standard
    deviation apart, 2 % prove an epsilon of 2.39 on average (20 simulated audits), and the thresholds 0.98.
    """

    canaries: int = parameter(2000, at_least=2, unit="canaries", help="examples of which each is in or out")
    kind: Literal["dirac", "mislabelled"] = parameter(
        "dirac", help="gradients along one weight or bias each, or pictures with a wrong label"
    )
    norm: float = parameter(
        1.0, at_least=1, unit="clips", help="L2 norm of a dirac canary's gradient before it is clipped"
    )
    pictures: int | None = parameter(
        None,
        at_least=0,
        unit="pictures",
        help="trained on beside the canaries; by default none beside dirac ones, all others beside mislabelled ones",
    )
    delta: float = parameter(1e-5, above=0, below=1, help="at which epsilon is bounded")
    error: float = parameter(0.05, above=0, below=0.5, help="probability with which each bound may be wrong")
    guessed: float = parameter(
        1.0, above=0, at_most=1, help="share of the canaries that the exact tail guesses on, the surest first"
    )
    surest: float | None = parameter(
        None,
        later=True,
        above=0,
        at_most=1,
        help="share that audited_epsilon guesses on, the surest first; by default the best of all thresholds",
    )
    by_layer: bool = parameter(
        False, help="bound each layer's dirac canaries by themselves, `error` divided by the layers, and take the best"
    )
