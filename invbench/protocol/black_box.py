"""A model that answers queries, a limited number of them (Fredrikson et al. 2015, section 2: black-box)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from invbench.protocol._granted import Granted
from invbench.registry import parameter, protocol


@protocol(games=("model",))
@dataclass(frozen=True, kw_only=True)
class BlackBox(Granted):
    """The attacker chooses pictures and sees what the model answers, after `answer` defences; a picture is a query."""

    queries: int = parameter(
        50_000, at_least=1, unit="pictures", help="budget for each class asked; a query beyond it is not answered"
    )
    answers: Literal["confidences", "label"] = parameter(
        "confidences", help="what is answered: the confidence of every class, or the likeliest class alone"
    )
