"""What an attacker of a trained model has beside it: nothing, or pictures of his own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from invbench.protocol import Protocol
from invbench.registry import parameter


@dataclass(frozen=True, kw_only=True)
class Granted(Protocol):
    """Every protocol of game `model`."""

    public: Literal["none", "other-classes"] = parameter(
        "none",
        later=True,
        help="the attacker's own pictures: none, or the last half of the classes, which the model is not trained on",
    )
