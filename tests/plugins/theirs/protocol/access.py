"""Black-box access to a trained model: what may be asked of it."""

from __future__ import annotations

from dataclasses import dataclass

from invbench.protocol import Protocol
from invbench.registry import parameter, protocol


@protocol(games=("presence",))
@dataclass(frozen=True, kw_only=True)
class Access(Protocol):
    """Class probabilities of at most `queries` pictures, and a number of candidates of whom half are members."""

    candidates: int = parameter(20, at_least=2, unit="pictures", help="candidates of a victim")
    queries: int = parameter(1000, at_least=1, unit="pictures", help="how many pictures a victim answers")
