"""A released model whose weights everybody holds (Fredrikson et al. 2015, section 2: white-box)."""

from __future__ import annotations

from dataclasses import dataclass

from invbench.protocol._granted import Granted
from invbench.registry import protocol


@protocol(games=("model",))
@dataclass(frozen=True, kw_only=True)
class WhiteBox(Granted):
    """The attacker holds a copy of the trained model, its weights among it."""
