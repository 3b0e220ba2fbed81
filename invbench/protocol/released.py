"""A trained model that is released, and of which it is asked who it was trained on (game `membership`)."""

from __future__ import annotations

from dataclasses import dataclass

from invbench.protocol import Protocol
from invbench.registry import parameter, protocol


@protocol(games=("membership",))
@dataclass(frozen=True, kw_only=True)
class Released(Protocol):
    """Anybody may ask the model for its probabilities, as often as he likes.

    Without `answer` defences its weights lie open, too. Victims and shadow models train in batches of 32 by one recipe
    (`core/training.py`), each on as many pictures.
    """

    epochs: int = parameter(30, at_least=1, unit="passes over its pictures", help="how long the victim trains")
    candidates: float = parameter(
        0.5, above=0, at_most=0.5, help="share of the pictures that are candidates; the victim trains on half of these"
    )
    pictures: int | None = parameter(
        None, at_least=8, unit="pictures", help="how many pictures of the data set take part, all by default"
    )
