"""A model is released: what its attacker is granted beside it (Fredrikson et al. 2014, section 3; 2015, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from invbench.protocol import Protocol
from invbench.registry import parameter, protocol


@protocol(games=("attribute",))
@dataclass(frozen=True, kw_only=True)
class Release(Protocol):
    """The attacker holds the model and is given each person's output and attributes, all but the sensitive one.

    `people`: rows that trained the model are attacked apart from rows held out of it (Yeom et al. 2018, arXiv
    1709.01604): what is read of both is what the population gives away, what is read of the former alone is memorised.
    """

    people: Literal["held-out", "training"] = parameter(
        "held-out", help="whether the people attacked trained the model"
    )
    unknown: tuple[str, ...] | None = parameter(None, help="attributes that the attacker is not told either")
    access: Literal["black-box", "leaf-counts"] = parameter(
        "black-box", help="answers alone, or also how many training rows a tree has at each leaf"
    )
