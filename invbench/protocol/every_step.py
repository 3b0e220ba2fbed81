"""A training of which every step is seen, and all pictures but one are known (Balle et al. 2022, arXiv 2201.04845)."""

from __future__ import annotations

from dataclasses import dataclass

from invbench.protocol import Protocol
from invbench.registry import parameter, protocol


@protocol(games=("informed",))
@dataclass(frozen=True, kw_only=True)
class EveryStep(Protocol):
    """The informed adversary: what DP-SGD promises, it promises against this one.

    Plain gradient descent; without `dp-sgd` every step takes all pictures, with it those that its batch draws.
    """

    candidates: int = parameter(
        8, at_least=2, unit="pictures", help="among which the unknown picture is, each as likely as the next"
    )
    others: int = parameter(15, at_least=1, unit="pictures", help="known pictures that are trained on beside it")
    steps: int = parameter(100, at_least=1, unit="steps", help="of gradient descent, all of them seen")
    lr: float = parameter(0.01, above=0, help="their learning rate")
